/**
 * The messages between the client and its worker, in one table. Both sides import these types, so
 * a renamed field fails the type check. Nothing here runs.
 *
 * Every request has an `id` and gets exactly one `reply` or `error` with the same `id`; `progress`
 * may come before it. `cancel` names a request and is itself not answered. The worker asks for a
 * video's frames with `wanted`, which the client always answers with `frame`.
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
 * @property {boolean} snap whether borders go to the picture's edges
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
 * @typedef {object} WireObject one object on one frame
 * @property {number} id
 * @property {number | null} score above 0 it is there; null where it was never looked for
 * @property {number | null} iou
 * @property {boolean} visible
 * @property {boolean} prompted on this very frame
 * @property {number} area pixels
 * @property {[number, number, number, number]} bbox x, y, w, h
 * @property {string} rle COCO counts (compressed string) of the [H, W] mask
 * @property {string} svg path data of its outline, in pixels of the video
 */

/** @typedef {{ frame: number, objects: WireObject[], ms: number }} WireFrame */

/**
 * @typedef {object} WireVideoPrompt exactly what the engine reads; coordinates in pixels of the video
 * @property {number} frame
 * @property {number} object
 * @property {[number, number][]} points
 * @property {number[]} labels
 * @property {[number, number, number, number] | null} box
 * @property {boolean} keep_old_points
 */

/** @typedef {{ frame: number, object: number, size: [number, number], counts: string }} WireMaskPrompt */
/** @typedef {{ start: number | null, max_frames: number | null, reverse: boolean }} WirePass */

/**
 * @typedef {{ kind: 'reader', reader: number, frames: number, width: number, height: number }
 *   | { kind: 'animation', blob: Blob } | { kind: 'live', width: number, height: number }} WireVideo
 *   frames of a `reader` are asked for with `wanted`
 */

/** What a run-length mask is. @typedef {{ area: number, bbox: [number, number, number, number], svg: string, polygons: import('./index.d.ts').Polygon[] }} Traced */

/** @typedef {{ id: number, frames: number, width: number, height: number, object_cost: number, fps?: number | null, times?: number[] | null, more?: boolean }} OpenedVideo */

/**
 * @typedef {object} RequestTable
 * @property {{ body: { assets: EngineAssets, device: 'auto' | 'webgpu' | 'cpu', lock: string }, reply: DeviceInfo }} open
 * @property {{ body: { model: ModelRequest, cache: boolean }, reply: ModelInfo }} load
 * @property {{ body: { picture: Picture }, reply: { id: number, width: number, height: number, encodeMs: number, device: DeviceInfo } }} setImage
 * @property {{ body: { picture: Picture }, reply: { rgba: ArrayBuffer, width: number, height: number } }} decode
 * @property {{ body: { image: number, prompt: WirePrompt }, reply: { prediction: number, decodeMs: number, masks: WireMask[], device: DeviceInfo } }} predict
 * @property {{ body: { prediction: number, index: number, format: 'svg' | 'polygons' }, reply: string | null }} outline
 * @property {{ body: { image: number }, reply: null }} dropImage
 * @property {{ body: { source: WireVideo, maxDimension: number, maxFrames: number, correctionsStand: boolean, snap: boolean }, reply: OpenedVideo }} openVideo
 * @property {{ body: { video: number, prompt: WireVideoPrompt }, reply: WireFrame }} videoPrompt
 * @property {{ body: { video: number, prompt: WireMaskPrompt }, reply: WireFrame }} videoMask
 * @property {{ body: { video: number, object: number }, reply: WireFrame[] }} videoRemove
 * @property {{ body: { video: number, frame: number, object: number }, reply: WireFrame }} videoClear
 * @property {{ body: { video: number }, reply: null }} videoReset
 * @property {{ body: { video: number, on: boolean }, reply: null }} videoSnap
 * @property {{ body: { video: number, pass: WirePass }, reply: { total: number } }} startPass
 * @property {{ body: { video: number }, reply: WireFrame | null }} nextFrame
 * @property {{ body: { video: number, picture: Picture }, reply: WireFrame }} pushFrame
 * @property {{ body: { video: number, frame: number }, reply: { rgba: ArrayBuffer, width: number, height: number } }} videoPicture
 * @property {{ body: { video: number, frame: number, object: number }, reply: Float32Array | null }} videoLowRes
 * @property {{ body: { video: number }, reply: { encodes: number, tracked: number, memories: number, memory: string } }} videoStats
 * @property {{ body: { video: number }, reply: null }} closeVideo
 * @property {{ body: { size: [number, number], counts: string }, reply: Traced }} trace
 */

/** @typedef {keyof RequestTable} RequestType */

/**
 * @template {RequestType} [K=RequestType]
 * @typedef {K extends RequestType ? { kind: 'request', id: number, type: K, body: RequestTable[K]['body'] } : never} RequestMessage
 */

/** The answer to `wanted`: one of the two. @typedef {{ kind: 'frame', ask: number, picture?: Picture, error?: PlainError }} FrameAnswer */

/** @typedef {RequestMessage | { kind: 'cancel', id: number } | FrameAnswer} ToWorker */

/**
 * @typedef {{ kind: 'reply', id: number, body: unknown }
 *   | { kind: 'error', id: number, error: PlainError }
 *   | { kind: 'progress', id: number, stage: string, done: number, total: number }
 *   | { kind: 'wanted', ask: number, reader: number, index: number }
 *   | { kind: 'device', device: DeviceInfo }
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
