/** The page with a picture on the stand-in engine: what tests of it share. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { openPage } from './browser.mjs';

/** @param {string} name */
export const sample = (name) => fileURLToPath(new URL(`../app/samples/${name}`, import.meta.url));
/** 451 x 300 */
export const CAT = sample('cat.jpg');
/** 640 x 427 */
export const ROCKET = sample('rocket.jpg');

/** Tests with a page of their own, whose console must stay empty and whose requests must stay at home. @param {{ server: any, browser: any }} on */
export function pageTests(on) {
  return (/** @type {string} */ name, /** @type {(hooks: any) => Promise<void>} */ body, options = {}) => {
    test(name, async () => {
      const hooks = await openPage(on.browser, on.server, options);
      try {
        await body(hooks);
        assert.deepEqual(hooks.complaints, [], 'the console is empty');
        assert.deepEqual(hooks.elsewhere, [], 'nothing leaves the origin');
      } finally {
        await hooks.context.close();
      }
    });
  };
}

/** @param {Awaited<ReturnType<typeof openPage>>} hooks */
export async function openCat(hooks) {
  await hooks.input.setInputFiles(CAT);
  await hooks.waitFor('idle');
}
