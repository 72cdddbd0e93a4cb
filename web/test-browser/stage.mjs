/** The server and the browser that the tests of a file share, and what those of the built page put before it. */
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { after, before } from 'node:test';
import { fixture } from '../sam2/test/golden.mjs';
import { launch } from './browser.mjs';
import { startServer } from './server.mjs';

const built = existsSync(new URL('../dist/index.html', import.meta.url)) && existsSync(new URL('../dist/pkg/assets.json', import.meta.url));

/** Why tests of the built page are skipped; false where it is there, or has to be (SAM2_REQUIRE_WASM). */
export const NOT_BUILT = built || process.env.SAM2_REQUIRE_WASM !== undefined ? false : 'the page is not built: cargo xtask wasm';

/** For tests of the package alone: the page would start an engine of its own beside theirs. */
export const BLANK_PAGE = { 'blank.html': '<!doctype html><html lang="en"><title>blank</title><link rel="icon" href="data:,">' };

/** The page with one small model, whose answers are known. */
export const MICRO_PAGE = {
  'config.json': JSON.stringify({ schema: 1, model_size: null }),
  'models/manifest.json': JSON.stringify({
    schema: 1, default: 'micro', models: [{ name: 'micro', file: 'seed4.safetensors', config: 'micro.yaml', licence: 'MIT OR Apache-2.0' }],
  }),
};

/** The micro model with some of its seeds, as files of the server. @param {...string} seeds */
export async function microModels(...seeds) {
  /** @type {Record<string, Buffer>} */
  const files = { 'models/micro.yaml': await readFile(fixture('micro.yaml')) };
  for (const seed of seeds) files[`models/${seed}.safetensors`] = await readFile(fixture(`weights/${seed}.safetensors`));
  return files;
}

/**
 * Starts both before the first test of the file and ends them after the last.
 * @param {() => Promise<Parameters<typeof startServer>[0]>} [serving] what the server is started with
 * @param {Parameters<typeof launch>[0]} [browsing]
 * @param {string | false} [skip] why not; then nothing is started
 * @returns {{ server: any, browser: any }} filled when the tests run
 */
export function stage(serving = async () => ({}), browsing = {}, skip = false) {
  /** @type {{ server: any, browser: any }} */
  const on = { server: undefined, browser: undefined };
  before(async () => {
    if (skip !== false) return;
    on.server = await startServer(await serving());
    on.browser = await launch(browsing);
  });
  after(async () => {
    await on.browser?.close();
    await on.server?.close();
  });
  return on;
}
