/**
 * The built page starved of CPU: its processes are stopped and let go on in bursts while it encodes and
 * answers, as a machine that is too busy does. Masks are those of a run that nothing disturbed, bit by bit,
 * and nothing times out. Linux only.
 */
import assert from 'node:assert/strict';
import { readFile, readdir } from 'node:fs/promises';
import { test } from 'node:test';
import { fixture } from '../sam2/test/golden.mjs';
import { openPage } from './browser.mjs';
import { MICRO_PAGE, NOT_BUILT, microModels, stage } from './stage.mjs';

const skip = process.platform !== 'linux' ? 'processes are stopped by signals' : NOT_BUILT;
const PATIENCE_MS = 300_000;
/** Of every half second the page has a tenth: a fifth of one core. */
const BURST = { stopped: 400, running: 100 };

/** Finds this browser's processes among all: their command lines carry it. */
const MARK = `sam2-starved-${process.pid}`;

const on = stage(async () => ({
  engine: 'built', files: { ...MICRO_PAGE, ...await microModels('seed4') },
}), { args: [`--user-agent-marker=${MARK}`] }, skip);

/** The processes that run pages and their workers. @returns {Promise<number[]>} */
async function renderers() {
  const ours = new Map();
  for (const name of await readdir('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const [line, status] = await Promise.all([
      readFile(`/proc/${name}/cmdline`, 'utf8').catch(() => ''), readFile(`/proc/${name}/stat`, 'utf8').catch(() => ''),
    ]);
    if (!line.includes('chromium')) continue;
    ours.set(Number(name), { line, parent: Number(status.slice(status.lastIndexOf(')') + 2).split(' ')[1]) });
  }
  const descends = (id) => {
    for (let at = id; ours.has(at); at = ours.get(at).parent) if (ours.get(at).line.includes(MARK)) return true;
    return false;
  };
  return [...ours.keys()].filter((id) => ours.get(id).line.includes('--type=renderer') && descends(id));
}

/** Stops and lets go until told to end. */
function starve(ids) {
  let [going, stops] = [true, 0];
  const signal = (name) => {
    for (const id of ids) {
      try {
        process.kill(id, name);
      } catch { /* it has ended */ }
    }
  };
  const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
  const done = (async () => {
    while (going) {
      signal('SIGSTOP');
      stops += 1;
      await pause(BURST.stopped);
      signal('SIGCONT');
      await pause(BURST.running);
    }
  })();
  return async () => {
    going = false;
    await done;
    return stops;
  };
}

/** A picture, two clicks and the mask as it is downloaded. */
async function session(hooks) {
  const { page } = hooks;
  await hooks.input.setInputFiles(fixture('images/wide.png'));
  await hooks.waitFor('idle', PATIENCE_MS);
  const said = [];
  for (const [x, y, more] of [[0.41, 0.57, {}], [0.3, 0.3, { button: 'right' }]]) {
    // Each answer writes the area again. Two answers may be alike in all that is shown, their time included.
    await hooks.mask.evaluate((mask) => { delete mask.dataset.area; });
    await hooks.clickAt(x, y, more);
    await page.waitForFunction(() => document.querySelector('[data-testid=mask]').dataset.area !== undefined
      && document.querySelector('[data-testid=status]').dataset.state === 'idle', undefined, { timeout: PATIENCE_MS });
    said.push(await hooks.mask.evaluate(({ dataset: { area, iou, bbox } }) => ({ area, iou, bbox })));
  }
  const [download] = await Promise.all([page.waitForEvent('download', { timeout: PATIENCE_MS }), page.locator('#download-rle').click()]);
  said.push(JSON.parse(await readFile(await download.path(), 'utf8')).masks);
  return said;
}

test('a fifth of a core, in bursts: the same masks to the bit, no fault, no timeout', { skip, timeout: 2 * PATIENCE_MS }, async (t) => {
  const hooks = await openPage(on.browser, on.server, { path: '?device=cpu', timeout: PATIENCE_MS });
  const plain = await session(hooks);
  const ids = await renderers();
  assert.ok(ids.length > 0, 'the page has a process');
  const end = starve(ids);
  const began = performance.now();
  let starved;
  let stops = 0;
  try {
    starved = await session(hooks);
  } finally {
    stops = await end();
  }
  assert.deepEqual(starved, plain);
  assert.ok(stops >= 2, `stopped ${stops} times`);
  assert.deepEqual(hooks.complaints, []);
  t.diagnostic(`${stops} stops, ${Math.round(performance.now() - began)} ms`);
  await hooks.context.close();
});
