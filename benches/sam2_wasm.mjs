// Times this project's wasm engine in Node on one CPU thread, and prints one JSON object like `sam2 bench --json`.
//
//   node benches/sam2_wasm.mjs --model FILE [--pkg web/dist/pkg] [--config FILE.yaml] [--runs 3]
//
// The package is used as others use it: worker, messages, answers. encode_ms is a decoded RGBA picture to its embedding,
// resize included; decode_ms is one click to three masks at the picture's size. One warm-up, then the median.
import { createReadStream, readFileSync, statSync } from 'node:fs'
import { createServer } from 'node:http'
import { basename, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'
import { Sam2 } from '../web/sam2/client.js'

const { values } = parseArgs({
  options: {
    model: { type: 'string' },
    config: { type: 'string' },
    pkg: { type: 'string', default: new URL('../web/dist/pkg', import.meta.url).pathname },
    runs: { type: 'string', default: '3' },
  },
})
if (!values.model) {
  console.error('sam2_wasm.mjs: --model must name a file of weights')
  process.exit(2)
}
const runs = Number(values.runs)

/** Runs `work` once to warm up, then `runs` times; the median in milliseconds. */
async function median(work) {
  await work()
  const times = []
  for (let i = 0; i < runs; i++) {
    const start = performance.now()
    await work()
    times.push(performance.now() - start)
  }
  return times.sort((a, b) => a - b)[times.length >> 1]
}

// Over HTTP, as a page gets it: the bytes go to the worker alone.
const server = createServer((_, response) => {
  response.writeHead(200, { 'content-length': statSync(values.model).size })
  createReadStream(values.model).pipe(response)
})
await new Promise((done) => server.listen(0, '127.0.0.1', done))

const folder = pathToFileURL(`${resolve(values.pkg)}/`)
const loadStart = performance.now()
const sam = await Sam2.load({
  model: {
    url: `http://127.0.0.1:${server.address().port}/${basename(values.model)}`,
    name: basename(values.model),
    ...(values.config ? { configYaml: readFileSync(values.config, 'utf8') } : {}),
  },
  assets: { js: new URL('sam2_wasm.js', folder).href, wasm: new URL('sam2_wasm_bg.wasm', folder).href },
  device: 'cpu',
  cache: false,
})
const load_ms = performance.now() - loadStart

const [width, height] = [1280, 853] // the size that the other contestants get
const data = new Uint8ClampedArray(width * height * 4)
for (let i = 0; i < data.length; i++) data[i] = 128 + 100 * Math.sin(i * 0.37)
let image
const encode_ms = await median(async () => {
  image?.dispose()
  image = await sam.setImage({ data, width, height })
})
const decode_ms = await median(async () => {
  const { masks } = await image.predict({ points: [[width * 0.41, height * 0.57]], labels: [1], multimask: true })
  if (masks.length !== 3) throw new Error('the decoder answered something else than three masks')
})

const status = readFileSync('/proc/self/status', 'utf8') // Linux
const peak_rss_mb = Number(/VmHWM:\s+(\d+) kB/.exec(status)[1]) / 1024
console.log(JSON.stringify({ model: basename(values.model), device: 'wasm cpu', threads: sam.threads, load_ms, encode_ms, decode_ms, peak_rss_mb }))
sam.dispose()
process.exit(0)
