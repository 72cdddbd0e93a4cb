/** The page with a clip on the stand-in engine, which follows a thing by its colour: what tests of clips share. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { openPage } from './browser.mjs';

/** One of clips/make.py, 320 x 180. @param {string} name */
export const clipFile = (name) => fileURLToPath(new URL(`clips/${name}`, import.meta.url));
export const CLIP = clipFile('two.webm');
export const FRAMES = 20;
/** Where the disc and the square are on a frame of the clip, as parts of the picture (clips/make.py). @param {number} frame */
export const disc = (frame) => [(50 + 9 * frame) / 320, 120 / 180];
/** @param {number} frame */
export const square = (frame) => [240 / 320, (36 + 4 * frame) / 180];
/** In the disc, right of its middle. @param {number} frame */
export const beside = (frame) => [disc(frame)[0] + 0.03, disc(frame)[1]];

/** What a test does with an open clip. @param {Awaited<ReturnType<typeof openPage>>} hooks */
export function clipHooks(hooks) {
  const { page } = hooks;
  const more = {
    ...hooks,
    lane: async (object) => Object.fromEntries(await Promise.all(['prompted', 'tracked', 'absent']
      .map(async (what) => [what, Number(await page.locator(`.lane[data-object="${object}"]`).getAttribute(`data-${what}`))]))),
    counter: () => page.locator('#frame-counter').innerText(),
    bbox: async () => (await hooks.mask.getAttribute('data-bbox')).split(',').map(Number),
    /** Gives files to the input; the state that the page is in then, still in the same task. @returns {Promise<string>} */
    async give(files) {
      await hooks.input.evaluate((input) => input.addEventListener('change', () => {
        globalThis.stateAfterChange = document.querySelector('[data-testid=status]').dataset.state;
      }, { once: true }));
      await hooks.input.setInputFiles(files);
      return page.evaluate(() => globalThis.stateAfterChange);
    },
    async openClip(file = CLIP) {
      assert.equal(await more.give(file), 'encoding');
      await page.locator('#timeline').waitFor();
      await hooks.waitFor('idle');
    },
    /** Clicks, and waits for the answer: of the mask alone nobody can tell, for one of before is shown until then. */
    async prompt([x, y], clickOptions) {
      await hooks.through('decoding', () => hooks.clickAt(x, y, clickOptions));
      await hooks.waitFor('idle');
    },
    /** On the first frame, the disc as the first object and the square as the second. */
    async promptBoth() {
      await more.prompt(disc(0));
      await page.keyboard.press('a');
      await hooks.clickAt(...square(0));
      await more.lanes(2);
      await hooks.waitFor('idle');
    },
    /** Until there are so many objects. */
    lanes: (count) => page.waitForFunction((wanted) => document.querySelectorAll('.lane').length === wanted, count),
    /** Until the first object was tracked on so many frames. */
    tracked: (count, timeout) => page.waitForFunction((wanted) => Number(document.querySelector('.lane')?.dataset.tracked) >= wanted, count, { timeout }),
    /**
     * From now on the engine stops in the middle of a pass, when the first object was tracked on so many frames.
     * @returns {Promise<() => Promise<void>>} lets it go on
     */
    async holdAt(count) {
      await page.evaluate((wanted) => {
        const orders = new BroadcastChannel('fake-engine');
        new MutationObserver((_, observer) => {
          if (Number(document.querySelector('.lane')?.dataset.tracked) >= wanted) {
            orders.postMessage('hold');
            observer.disconnect();
          }
        }).observe(document.querySelector('#lanes'), { subtree: true, attributes: true });
        globalThis.letGo = () => orders.postMessage('go');
      }, count);
      return () => page.evaluate(() => globalThis.letGo());
    },
    /** Takes something away from the mask that is shown, and waits until it is gone. */
    async carve([x, y]) {
      const before = await hooks.area();
      await hooks.clickAt(x, y, { button: 'right' });
      await page.waitForFunction((area) => Number(document.querySelector('[data-testid=mask]').dataset.area) < area, before);
      await hooks.waitFor('idle');
      return before;
    },
    /** Presses a button that saves. @param {string} id */
    async save(id) {
      const [download] = await Promise.all([page.waitForEvent('download'), page.getByTestId(id).click()]);
      await hooks.waitFor('idle');
      return { name: download.suggestedFilename(), bytes: await readFile(await download.path()) };
    },
    async track(id = '#track') {
      await hooks.through('decoding', () => page.locator(id).click());
      await hooks.waitFor('idle');
    },
    async go(frame) {
      await page.locator('#scrub').fill(String(frame));
      await page.waitForFunction((n) => document.querySelector('#frame-counter').textContent.startsWith(`Frame ${n + 1} `), frame);
      await page.waitForTimeout(150); // the picture follows the number
    },
  };
  return more;
}

/** Tests with a page of their own, whose console stays empty and whose requests stay at home. @param {{ server: any, browser: any }} on */
export function clipTests(on) {
  return (/** @type {string} */ name, /** @type {(hooks: any) => Promise<void>} */ body, { complaints = true, ...options } = {}) => {
    test(name, async () => {
      const hooks = clipHooks(await openPage(on.browser, on.server, options));
      await body(hooks);
      if (complaints) assert.deepEqual(hooks.complaints, []);
      assert.deepEqual(hooks.elsewhere, []);
      await hooks.context.close();
    });
  };
}
