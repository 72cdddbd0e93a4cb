/** Chromium as the tests use it, and the page with its hooks. */
import assert from 'node:assert/strict';
import { chromium } from 'playwright-core';

const ARGS = [
  '--no-sandbox', '--disable-background-networking', '--disable-component-update', '--disable-default-apps', '--disable-sync', '--no-first-run',
];
const WEBGPU_ARGS = ['--enable-unsafe-webgpu', '--use-webgpu-adapter=swiftshader'];

/** A machine that compiles Burn beside this takes its time; what hangs, hangs longer still. */
const PATIENCE_MS = 120_000;

/** @param {{ webgpu?: boolean, args?: string[] }} [options] */
export function launch({ webgpu = false, args = [] } = {}) {
  return chromium.launch({
    timeout: PATIENCE_MS,
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: [...ARGS, ...(webgpu ? WEBGPU_ARGS : []), ...args],
  });
}

/** In the page, before its own scripts: every state that it is in from now on, however short. */
function recordStates() {
  globalThis.statesSeen = [];
  new MutationObserver((records) => {
    for (const { target, oldValue } of records) {
      if (target.dataset.testid === 'status') globalThis.statesSeen.push(oldValue, target.dataset.state);
    }
  }).observe(document, { subtree: true, attributeFilter: ['data-state'], attributeOldValue: true });
}

/**
 * Opens the page and watches it: errors, warnings and requests that leave the origin.
 * @param {import('playwright-core').Browser} browser
 * @param {{ url: string, origin: string }} server
 * @param {{ path?: string, state?: string, context?: import('playwright-core').BrowserContextOptions, timeout?: number }} [options]
 */
export async function openPage(browser, server, { path = '', state = 'ready', context: contextOptions = {}, timeout = PATIENCE_MS } = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 720 }, acceptDownloads: true, ...contextOptions });
  const page = await context.newPage();
  page.setDefaultTimeout(timeout);
  /** @type {string[]} */
  const complaints = [];
  /** @type {string[]} */
  const elsewhere = [];
  page.on('console', (message) => {
    if (message.type() === 'error' || message.type() === 'warning') complaints.push(`${message.type()}: ${message.text()}`);
  });
  page.on('pageerror', (error) => complaints.push(String(error)));
  page.on('request', (request) => {
    if (!request.url().startsWith(server.origin) && !/^(blob|data):/.test(request.url())) elsewhere.push(request.url());
  });
  await page.addInitScript(recordStates);
  await page.goto(server.url + path, { timeout });
  const hooks = {
    page, context, complaints, elsewhere,
    canvas: page.getByTestId('canvas'), status: page.getByTestId('status'), mask: page.getByTestId('mask'), input: page.getByTestId('open'),
    /** @param {string} wanted @param {number} [ms] */
    waitFor: (wanted, ms = timeout) => page.locator(`[data-testid=status][data-state=${wanted}]`).waitFor({ state: 'attached', timeout: ms }),
    /**
     * Does what brings the page into a state that may be over soon, and waits until it was in it: `waitFor` looks twice a
     * second, and would wait for ever for what it has missed.
     * @param {string} wanted @param {() => Promise<unknown>} action
     */
    async through(wanted, action) {
      await page.evaluate(() => { globalThis.statesSeen.length = 0; });
      await action();
      await page.waitForFunction((state) => globalThis.statesSeen.includes(state), wanted);
    },
    /** Clicks at a place given as parts of the shown picture. @param {number} x @param {number} y @param {object} [more] */
    async clickAt(x, y, more = {}) {
      const box = await page.getByTestId('canvas').boundingBox();
      assert.ok(box !== null, 'the canvas is shown');
      await page.getByTestId('canvas').click({ position: { x: x * box.width, y: y * box.height }, ...more });
    },
    area: async () => Number(await page.getByTestId('mask').getAttribute('data-area')),
  };
  if (state !== '') await hooks.waitFor(state);
  return hooks;
}
