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
  /** engine, download and verify (bytes); checking, loading, warming up, reading, encoding and restoring as the engine counts them. */
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
  /** Of the wasm module, which never shrinks: the most that it took. Without what lies on a GPU. */
  memoryBytes?: number;
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
  /** Work of encoding one picture, in 10^9 operations. */
  encodeGflop?: number;
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
  /**
   * Move the masks' borders to the picture's edges where the model is unsure of them (default false): for a small model, whose masks
   * are rough. `lowRes` stays as the model answered, and refining goes on from that.
   */
  snap?: boolean;
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

/** COCO run lengths; size is [H, W]. */
export interface RleObject {
  size: readonly [number, number];
  counts: string;
}

interface MaskBase {
  readonly width: number;
  readonly height: number;
  /** Pixels. */
  readonly area: number;
  /** [x, y, w, h] */
  readonly bbox: readonly [number, number, number, number];
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

/** A mask of a picture. */
export declare class Mask {
  private constructor();
  /** The model's own estimate of the intersection over union, 0 to 1. */
  readonly iou: number;
  readonly lowRes: Float32Array;
}
export interface Mask extends MaskBase {}

/** The mask of one object on one frame. */
export declare class VideoMask {
  private constructor();
  /** Path data of an SVG `d` attribute, in pixels of the video, even-odd. */
  readonly svgPath: string;
}
export interface VideoMask extends MaskBase {}

/** Frames that a program of one's own reads, in any order. */
export interface FrameReader {
  frames: number;
  width: number;
  height: number;
  fps?: number | null;
  read(index: number): PictureSource | Promise<PictureSource>;
}

/**
 * A video file that the browser plays, an animated GIF, WebP or PNG (also outside of a page), pictures
 * in order, the address of one of these, a video element, or a camera whose frames are pushed.
 */
export type VideoSource = Blob | string | URL | readonly PictureSource[] | FrameReader | HTMLVideoElement | { live: true };

export interface VideoOptions extends CallOptions {
  /** Frames are made smaller until their longer side is at most this (default 1920; 0: never). Masks have the video's own size. */
  maxFrameDimension?: number;
  /** The first so many frames are used (default 300; 0: all). */
  maxFrames?: number;
  /**
   * Whether a prompt on a frame that was tracked already stands when a later pass comes over that frame (default true). The official
   * predictor forgets it there unless its `add_all_frames_to_correct_as_cond` is set; false follows it.
   */
  correctionsStand?: boolean;
  /** Move the masks' borders to the frames' edges, as `Prompt.snap` says (default false). What is tracked stays the model's. */
  snap?: boolean;
}

export interface VideoPrompt {
  /** Counted from 0. */
  frame: number;
  /** Your number of the object; a new one adds it, at any time. */
  object: number;
  /** [x, y] in pixels of the video. */
  points?: readonly (readonly [number, number])[];
  /** 1 positive, 0 negative; all positive when left out. */
  labels?: readonly number[];
  box?: readonly [number, number, number, number] | null;
  /** Add the points to those of an earlier prompt on this frame instead of replacing them. */
  keepOldPoints?: boolean;
}

export interface VideoMaskPrompt {
  frame: number;
  object: number;
  mask: Mask | VideoMask | RleObject;
}

export interface PassOptions extends CallOptions {
  /** Backward; from frame 0 there is nothing backward. */
  reverse?: boolean;
  /** The earliest prompted frame when left out. */
  start?: number | null;
  /** Frames after the first. */
  maxFrames?: number | null;
}

export interface TrackedObject {
  id: number;
  mask: VideoMask;
  /** Above 0 it is there; null where it was never looked for. */
  score: number | null;
  iou: number | null;
  visible: boolean;
  /** Was it prompted on this very frame? */
  prompted: boolean;
}

export interface FrameResult {
  frame: number;
  objects: TrackedObject[];
  ms: number;
}

export declare class Sam2Video {
  private constructor();
  readonly width: number;
  readonly height: number;
  /** Frames; of a live video, those seen so far. */
  readonly length: number;
  /** Frames per second, where it is known; on the average where frames do not stay equally long. */
  readonly fps: number | null;
  /** Seconds from the first frame on at which each frame comes on, and at last the end: `length + 1` of them. null where only `fps` tells. */
  readonly times: readonly number[] | null;
  readonly live: boolean;
  /** The oldest frame that can be prompted: of a clip 0, of a live video one of the latest. What was said on older ones can be cleared. */
  readonly oldest: number;
  /** Lines for people: frames made smaller, frames cut off. */
  readonly notes: string[];
  /** What tracking one object costs on a frame, in encodes. */
  readonly objectCost: number;
  addPoints(prompt: VideoPrompt, options?: CallOptions): Promise<FrameResult>;
  addBox(prompt: { frame: number; object: number; box: readonly [number, number, number, number] }, options?: CallOptions): Promise<FrameResult>;
  addMask(prompt: VideoMaskPrompt, options?: CallOptions): Promise<FrameResult>;
  /** Answers with the frames on which it was prompted, without it. */
  removeObject(object: number, options?: CallOptions): Promise<FrameResult[]>;
  /**
   * Takes back what an object was prompted with on a frame. Of a live video what was tracked with it goes too, and the object goes on
   * from its other prompts; one without any is to be removed, or prompted.
   */
  clear(target: { frame: number; object: number }, options?: CallOptions): Promise<FrameResult>;
  reset(options?: CallOptions): Promise<void>;
  /** Whether masks from the next answer on are snapped to edges. */
  setSnap(on: boolean, options?: CallOptions): Promise<void>;
  /** Tracks from frame to frame. What was tracked before it is cancelled stays. */
  propagate(options?: PassOptions): AsyncGenerator<FrameResult & { done: number; total: number }, void, void>;
  /** The next frame of a live video. */
  pushFrame(frame: PictureSource, options?: CallOptions): Promise<FrameResult>;
  /** The picture of a frame as the engine sees it. */
  picture(frame: number, options?: CallOptions): Promise<RgbaPixels>;
  /** A frame to show; close it when it is not needed any more. Browsers only. */
  bitmap(frame: number, options?: CallOptions): Promise<ImageBitmap>;
  /** Logits [S/4, S/4] as the last pass left them. */
  lowRes(frame: number, object: number, options?: CallOptions): Promise<Float32Array | null>;
  /** A mask that was saved; its size is that of the video. */
  maskFromRle(rle: RleObject, options?: CallOptions): Promise<VideoMask>;
  stats(options?: CallOptions): Promise<{ encodes: number; tracked: number; memories: number; memory: string }>;
  /** Resolves when the engine holds the video as it was, after a restart or another model. */
  ready(options?: CallOptions): Promise<void>;
  close(): void;
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
  /** Opens a video; its frames are read when they are needed. */
  openVideo(source: VideoSource, options?: VideoOptions): Promise<Sam2Video>;
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
