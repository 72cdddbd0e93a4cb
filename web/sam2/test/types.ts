/** Never runs: the type check fails when the code and its declaration say different things. */
import * as code from '../client.js';
import type * as declared from '../index.d.ts';

type Public<T> = { [K in keyof T]: T[K] };

declare const sam: InstanceType<typeof code.Sam2>;
declare const image: InstanceType<typeof code.Sam2Image>;
declare const mask: InstanceType<typeof code.Mask>;
declare const error: InstanceType<typeof code.Sam2Error>;

declare const video: InstanceType<typeof code.Sam2Video>;
declare const videoMask: InstanceType<typeof code.VideoMask>;

export const checkedSam: Omit<Public<declared.Sam2>, 'setImage' | 'openVideo'> = sam;
export const checkedOpenVideo: (source: declared.VideoSource, options?: declared.VideoOptions) => Promise<unknown> = sam.openVideo.bind(sam);
type Answers = 'addPoints' | 'addBox' | 'addMask' | 'removeObject' | 'clear' | 'propagate' | 'pushFrame';
export const checkedVideo: Omit<Public<declared.Sam2Video>, Answers> = video;
export const checkedAddPoints: (prompt: declared.VideoPrompt, options?: declared.CallOptions) => Promise<unknown> = video.addPoints.bind(video);
export const checkedAddMask: (prompt: Omit<declared.VideoMaskPrompt, 'mask'> & { mask: declared.RleObject }) => Promise<unknown> = video.addMask.bind(video);
export const checkedPropagate: (options?: declared.PassOptions) => AsyncGenerator<unknown, void, void> = video.propagate.bind(video);
export const checkedVideoMask: Public<declared.VideoMask> = videoMask;
export const checkedSetImage: (source: declared.PictureSource) => Promise<unknown> = sam.setImage.bind(sam);
export const checkedImage: Omit<Public<declared.Sam2Image>, 'predict'> = image;
export const checkedPredict: (prompt: declared.Prompt, options?: declared.PredictOptions) => Promise<Omit<declared.PredictResult, 'masks'>> = image.predict.bind(image);
export const checkedMask: Public<declared.Mask> = mask;
export const checkedError: Public<declared.Sam2Error> = error;
export const checkedCodes: typeof declared.ERROR_CODES = code.ERROR_CODES;
export const checkedLoad: (options: declared.LoadOptions) => Promise<unknown> = code.Sam2.load;
