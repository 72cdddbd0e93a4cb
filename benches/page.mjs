// Times the page itself in headless Chromium: bench.html of web/dist, and prints one JSON object like `sam2 bench --json`.
//
//   node benches/page.mjs [--model FILE] [--config FILE.yaml] [--device cpu|webgpu|auto] [--runs 3] [--frames 0] [--args "..."]
//
// Needs `cargo xtask page` and the packages of web/ (`npm ci --prefix web`). peak_rss_mb is VmHWM of the renderer, which holds page and
// worker (Linux); engine_mb is the memory of the wasm module. WebGPU on a machine without a GPU: --device webgpu --args "--enable-unsafe-webgpu --use-webgpu-adapter=swiftshader".
import { existsSync, readFileSync } from 'node:fs'
import { basename } from 'node:path'
import { parseArgs } from 'node:util'
import { launch } from '../web/test-browser/browser.mjs'
import { startServer } from '../web/test-browser/server.mjs'

const { values } = parseArgs({
  options: {
    model: { type: 'string' },
    config: { type: 'string' },
    device: { type: 'string', default: 'cpu' },
    runs: { type: 'string', default: '3' },
    frames: { type: 'string', default: '0' },
    args: { type: 'string', default: '' },
  },
})
if (!existsSync(new URL('../web/dist/bench.html', import.meta.url))) {
  console.error('page.mjs: web/dist is not built: run `cargo xtask page`')
  process.exit(2)
}
if (values.model && !existsSync(values.model)) {
  console.error(`page.mjs: there is no file ${values.model}`)
  process.exit(2)
}

const files = { 'config.json': JSON.stringify({ schema: 1, model_size: null }) }
if (values.model) {
  const file = basename(values.model)
  files[`models/${file}`] = readFileSync(values.model)
  if (values.config) files['models/config.yaml'] = readFileSync(values.config)
  const entry = { name: 'asked', file, licence: 'unknown', ...(values.config ? { config: 'config.yaml' } : {}) }
  files['models/manifest.json'] = JSON.stringify({ schema: 1, default: 'asked', models: [entry] })
}
const server = await startServer({ engine: 'built', files })
const browser = await launch({ args: values.args.split(' ').filter(Boolean) })
let failed = false
try {
  const page = await browser.newPage()
  await page.goto(`${server.url}bench.html?start&device=${values.device}&runs=${values.runs}&frames=${values.frames}`)
  const state = page.getByTestId('bench-state')
  await page.waitForFunction(() => /done|error/.test(document.querySelector('[data-testid=bench-state]').dataset.state), null, { timeout: 3_600_000 })
  if (await state.getAttribute('data-state') === 'error') throw new Error(await state.innerText())
  const result = JSON.parse(await page.getByTestId('bench-json').textContent())
  const cdp = await browser.newBrowserCDPSession()
  const { processInfo } = await cdp.send('SystemInfo.getProcessInfo')
  const peaks = processInfo.filter(({ type }) => type === 'renderer').map(({ id }) => {
    try {
      return Number(/VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${id}/status`, 'utf8'))[1]) / 1024
    } catch {
      return 0 // not Linux, or gone
    }
  })
  console.log(JSON.stringify({ ...result, model: values.model ? basename(values.model) : result.model, peak_rss_mb: Math.max(0, ...peaks) || null }))
} catch (error) {
  console.error(`page.mjs: ${error.message}`)
  failed = true
} finally {
  await browser.close()
  await server.close()
}
process.exit(failed ? 1 : 0)
