/**
 * The messages between the client and its worker, in one table. Both sides import these types, so
 * a renamed field fails the type check. Nothing here runs.
 *
 * Every request has an `id` and gets exactly one `reply` or `error` with the same `id`; `progress`
 * may come before it. `cancel` names a request and is itself not answered.
 */

/** @typedef {import('./errors.js').PlainError} PlainError */
/** @typedef {import('./index.d.ts').DeviceInfo} DeviceInfo */
/** @typedef {import('./index.d.ts').ModelInfo} ModelInfo */

/**
 * @typedef {object} EngineAssets where the wasm-bindgen module lies (absolute URLs)
 * @property {string} js
 * @property {string} wasm
 * @property {number} [wasmBytes] size of the wasm file after decompression, for progress
 */

/**
 * @typedef {object} ModelRequest a model, its place already resolved
 * @property {string} name what people call it
 * @property {string} [url] absolute; either this or `blob`
 * @property {Blob} [blob]
 * @property {string} [sha256] 64 hex digits: checked, and the key in the cache
 * @property {number} [bytes]
 * @property {string} [configYaml] a configuration in the official yaml layout
 * @property {number} [imageSize]
 */

/**
 * @typedef {object} PicturePixels
 * @property {'rgba'} kind
 * @property {ArrayBuffer} rgba [H, W, 4] bytes of the oriented picture
 * @property {number} width
 * @property {number} height
 */

/** @typedef {PicturePixels | { kind: 'blob', blob: Blob } | { kind: 'bitmap', bitmap: ImageBitmap }} Picture */

/**
 * @typedef {object} WirePrompt exactly what the engine reads; coordinates in oriented image pixels
 * @property {[number, number][]} points
 * @property {number[]} labels 1 positive, 0 negative
 * @property {[number, number, number, number] | null} box x0, y0, x1, y1
 * @property {number | null} mask_id the engine's handle of an earlier low-resolution mask
 * @property {boolean} multimask
 */

/**
 * @typedef {object} WireMask
 * @property {number} iou the model's own estimate, 0 to 1
 * @property {number} area pixels
 * @property {[number, number, number, number]} bbox x, y, w, h
 * @property {string} rle COCO counts (compressed string) of the [H, W] mask
 * @property {number} maskId
 * @property {Float32Array} lowRes [S/4, S/4] logits
 */

/**
 * @typedef {object} RequestTable
 * @property {{ body: { assets: EngineAssets, device: 'auto' | 'webgpu' | 'cpu', lock: string }, reply: DeviceInfo }} open
 * @property {{ body: { model: ModelRequest, cache: boolean }, reply: ModelInfo }} load
 * @property {{ body: { picture: Picture }, reply: { id: number, width: number, height: number, encodeMs: number, device: DeviceInfo } }} setImage
 * @property {{ body: { picture: Picture }, reply: { rgba: ArrayBuffer, width: number, height: number } }} decode
 * @property {{ body: { image: number, prompt: WirePrompt }, reply: { prediction: number, decodeMs: number, masks: WireMask[], device: DeviceInfo } }} predict
 * @property {{ body: { prediction: number, index: number, format: 'svg' | 'polygons' }, reply: string | null }} outline
 * @property {{ body: { image: number }, reply: null }} dropImage
 */

/** @typedef {keyof RequestTable} RequestType */

/**
 * @template {RequestType} [K=RequestType]
 * @typedef {K extends RequestType ? { kind: 'request', id: number, type: K, body: RequestTable[K]['body'] } : never} RequestMessage
 */

/** @typedef {RequestMessage | { kind: 'cancel', id: number }} ToWorker */

/**
 * @typedef {{ kind: 'reply', id: number, body: unknown }
 *   | { kind: 'error', id: number, error: PlainError }
 *   | { kind: 'progress', id: number, stage: string, done: number, total: number }
 *   | { kind: 'log', level: string, text: string }
 *   | { kind: 'fatal', error: PlainError }} FromWorker
 */

/**
 * @typedef {object} WorkerPort what the client needs of a worker, in the browser and in Node
 * @property {(message: ToWorker, transfer: Transferable[]) => void} post
 * @property {(onMessage: (message: FromWorker) => void, onDeath: (reason: string) => void) => void} listen
 * @property {() => void} terminate
 */

export {};
