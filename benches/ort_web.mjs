// Times onnxruntime-web (wasm) on the files of export_onnx.py, and prints one JSON object like `sam2 bench --json`.
//
//   node benches/ort_web.mjs --dir DIR --threads 1 --runs 3
//
// encode_ms is the encoder alone (resize and normalisation left out, in its favour); decode_ms is one click to
// three masks at the picture's size, read back. One warm-up, then the median. A new process per thread count: wasm
// memory never shrinks, and the runtime takes its thread count once.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import * as ort from 'onnxruntime-web'

const { values } = parseArgs({
  options: {
    dir: { type: 'string' },
    threads: { type: 'string', default: '1' },
    runs: { type: 'string', default: '3' },
  },
})
if (!values.dir) {
  console.error('ort_web.mjs: --dir must name the folder that export_onnx.py wrote')
  process.exit(2)
}
const threads = Number(values.threads)
const runs = Number(values.runs)
ort.env.wasm.numThreads = threads
ort.env.wasm.simd = true

const options = { executionProviders: ['wasm'], graphOptimizationLevel: 'all' }

const loadStart = performance.now()
const encoder = await ort.InferenceSession.create(readFileSync(join(values.dir, 'encoder.onnx')), options)
const decoder = await ort.InferenceSession.create(readFileSync(join(values.dir, 'decoder.onnx')), options)
const load_ms = performance.now() - loadStart

const SIZE = 1024
const pixels = new Float32Array(3 * SIZE * SIZE)
for (let i = 0; i < pixels.length; i++) pixels[i] = Math.sin(i * 0.37) // any values: the work does not depend on them
const image = new ort.Tensor('float32', pixels, [1, 3, SIZE, SIZE])

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

let embedding
const encode_ms = await median(async () => {
  embedding = await encoder.run({ image })
})
const points = new ort.Tensor('float32', Float32Array.of(420, 580), [1, 1, 2])
const labels = new ort.Tensor('int64', BigInt64Array.of(1n), [1, 1])
const decode_ms = await median(async () => {
  const { e, h0, h1 } = embedding
  const { mask, iou } = await decoder.run({ e, h0, h1, points, labels })
  if (iou.data.length !== 3 || mask.data.length === 0) throw new Error('the decoder answered something else than three masks')
})

const status = readFileSync('/proc/self/status', 'utf8') // Linux
const peak_rss_mb = Number(/VmHWM:\s+(\d+) kB/.exec(status)[1]) / 1024
console.log(JSON.stringify({
  model: 'encoder.onnx', device: 'onnxruntime-web ' + ort.env.versions.web, threads, load_ms, encode_ms, decode_ms, peak_rss_mb,
}))
process.exit(0) // the runtime's workers keep the process alive otherwise
