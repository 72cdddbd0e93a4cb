/** The public face of the package. The code is checked against it (test/types.ts). */

export type Sam2ErrorCode =
  | 'bad_image' | 'image_too_large' | 'bad_prompt' | 'bad_model' | 'model_mismatch' | 'checksum'
  | 'out_of_memory' | 'no_webgpu' | 'device_lost' | 'mask_fault' | 'cancelled' | 'unsupported_video'
  | 'storage_full' | 'port_taken' | 'bad_setting';

export declare const ERROR_CODES: readonly Sam2ErrorCode[];

/** Every failure that is not an AbortError. */
export declare class Sam2Error extends Error {
  constructor(code: Sam2ErrorCode, message: string, hint?: string, options?: ErrorOptions);
  readonly code: Sam2ErrorCode;
  /** What to do about it; may be empty. */
  readonly hint: string;
}

export interface Progress {
  /** engine, download and verify (bytes); checking, loading, warming up, reading and encoding as the engine counts them. */
  stage: string;
  done: number;
  /** 0 where it is not known. */
  total: number;
}

export interface CallOptions {
  signal?: AbortSignal;
  onProgress?: (progress: Progress) => void;
}

export interface EngineAssets {
  /** The wasm-bindgen module, target web. */
  js: string | URL;
  wasm: string | URL;
  /** Size of the wasm file when it is not compressed, for progress. */
  wasmBytes?: number;
}

export interface ModelByAddress {
  url?: string | URL;
  file?: Blob;
  name?: string;
  /** 64 hex digits: the file is refused when it differs, and cached under it. */
  sha256?: string;
  bytes?: number;
  /** A configuration in the official yaml layout, for a model of no published size. */
  configYaml?: string;
  /** Side of the square that pictures are resized to, a multiple of 64. */
  imageSize?: number;
}

export type ModelSource = string | URL | Blob | Uint8Array | ArrayBuffer | ModelByAddress;

export interface LoadOptions extends CallOptions {
  model: ModelSource;
  /** A named device is obeyed or is an error; `auto` says in `deviceInfo.why` what it chose. */
  device?: 'auto' | 'webgpu' | 'cpu';
  /** Where the wasm lies; by default in `pkg/` beside the package. */
  assets?: EngineAssets;
  /** Keep downloaded models in the browser's private file system (default true). */
  cache?: boolean;
  onLog?: (entry: LogEntry) => void;
}

export interface LogEntry {
  level: string;
  text: string;
}

export interface DeviceInfo {
  device: 'webgpu' | 'cpu';
  why?: string;
  adapter?: string | null;
  threads?: number;
  simd?: boolean | string | null;
  /** How far the device's answers with this model were checked. */
  trust?: unknown;
}

export interface ModelInfo {
  name: string;
  /** What the engine recognised, e.g. `sam2.1_hiera_tiny`. */
  architecture: string;
  imageSize: number;
  parameters: number;
  /** Of the arithmetic, where the engine says it. */
  precision?: string;
  /** Size of the file. */
  bytes: number;
  device: DeviceInfo;
}

export interface RgbaPixels {
  /** [H, W, 4] */
  data: Uint8Array | Uint8ClampedArray;
  width: number;
  height: number;
}

/** A Blob keeps its EXIF orientation; everything else is taken as it is shown. */
export type PictureSource =
  | Blob | RgbaPixels | ImageData | ImageBitmap | HTMLCanvasElement | OffscreenCanvas | HTMLImageElement
  | HTMLVideoElement | VideoFrame;

export interface Prompt {
  /** [x, y] in pixels of the oriented picture. */
  points?: readonly (readonly [number, number])[];
  /** 1 positive, 0 negative; all positive when left out. */
  labels?: readonly number[];
  /** [x0, y0, x1, y1] in pixels of the oriented picture. */
  box?: readonly [number, number, number, number] | null;
  /** A mask or `lowRes` array of an earlier prediction on the same picture, to refine. */
  mask?: Mask | Float32Array | null;
  /** Three answers instead of one; by default for a single point. */
  multimask?: boolean;
}

export interface PredictOptions extends CallOptions {
  /** A preview: any newer prediction cancels it (AbortError). */
  hover?: boolean;
}

export interface PredictResult {
  masks: Mask[];
  iou: number[];
  /** [S/4, S/4] logits of each mask. */
  lowRes: Float32Array[];
  decodeMs: number;
}

export interface Polygon {
  outer: [number, number][];
  holes: [number, number][][];
}

export declare class Mask {
  private constructor();
  readonly width: number;
  readonly height: number;
  /** The model's own estimate of the intersection over union, 0 to 1. */
  readonly iou: number;
  /** Pixels. */
  readonly area: number;
  /** [x, y, w, h] */
  readonly bbox: readonly [number, number, number, number];
  readonly lowRes: Float32Array;
  /** [H, W], row by row, 0 or 1. */
  toBytes(): Uint8Array;
  /** COCO; size is [H, W]. */
  toRle(): { size: [number, number]; counts: string };
  toImageData(color?: readonly [number, number, number, number]): ImageData;
  /** 8-bit greyscale, 255 inside. */
  toPng(): Promise<Blob>;
  /** In image pixels, along the pixels' edges. */
  toPolygons(): Promise<Polygon[]>;
  /** Path data of an SVG `d` attribute, in image pixels, even-odd. */
  toSvgPath(): Promise<string>;
  toSvg(): Promise<string>;
}

export declare class Sam2Image {
  private constructor();
  readonly width: number;
  readonly height: number;
  readonly encodeMs: number;
  predict(prompt: Prompt, options?: PredictOptions): Promise<PredictResult>;
  /** Resolves when the engine holds the picture; encodes it again after a restart or a model swap. */
  ready(options?: CallOptions): Promise<void>;
  dispose(): void;
}

export declare class Sam2 {
  private constructor();
  static load(options: LoadOptions): Promise<Sam2>;
  /** Swaps the model; the present one stays if the new one is refused. Pictures are encoded again when next used. */
  loadModel(model: ModelSource, options?: CallOptions): Promise<ModelInfo>;
  setImage(source: PictureSource, options?: CallOptions): Promise<Sam2Image>;
  /** Resolves when the engine runs and holds the model, after starting it again if it died. */
  ready(options?: CallOptions): Promise<void>;
  /** Decodes a picture as the engine does. */
  decodeImage(blob: Blob, options?: CallOptions): Promise<ImageData>;
  readonly device: 'webgpu' | 'cpu';
  readonly deviceInfo: DeviceInfo | null;
  readonly threads: number;
  readonly model: ModelInfo | null;
  on(event: 'log', listener: (entry: LogEntry) => void): () => void;
  on(event: 'fault' | 'device-lost', listener: (error: Sam2Error) => void): () => void;
  dispose(): void;
}
