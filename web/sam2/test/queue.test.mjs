/** The order of jobs, and what cancels them. */
import assert from 'node:assert/strict';
import test from 'node:test';
import { JobQueue } from '../queue.js';

/** Work that ends when the test says so. */
function held() {
  const job = { started: false, signal: /** @type {AbortSignal | null} */ (null), end: () => {} };
  const work = (signal) => new Promise((resolve) => {
    Object.assign(job, { started: true, signal, end: resolve });
  });
  return { job, work };
}
const turns = () => new Promise((resolve) => setImmediate(resolve));

test('one at a time, in order, and a failure does not stop the next', async () => {
  const queue = new JobQueue();
  const [first, second] = [held(), held()];
  const one = queue.add(first.work);
  const two = queue.add(async () => { throw new Error('no'); });
  const three = queue.add(second.work);
  await turns();
  assert.deepEqual([first.job.started, second.job.started], [true, false]);
  first.job.end('a');
  assert.equal(await one, 'a');
  await assert.rejects(two, /^Error: no$/);
  await turns();
  assert.equal(second.job.started, true);
  second.job.end('c');
  assert.equal(await three, 'c');
});

test('a waiting job that is cancelled rejects at once and never starts', async () => {
  const queue = new JobQueue();
  const [first, second] = [held(), held()];
  const one = queue.add(first.work);
  const abort = new AbortController();
  const two = queue.add(second.work, { signal: abort.signal });
  abort.abort(new Error('mine'));
  await assert.rejects(two, /mine/, 'with the reason of the caller, while the first still runs');
  first.job.end();
  await one;
  await turns();
  assert.equal(second.job.started, false);
  await assert.rejects(queue.add(second.work, { signal: abort.signal }), /mine/);
  assert.equal(await queue.add(async () => 'next'), 'next');
});

test('a running job that is cancelled rejects at once, and the next waits until it has ended', async () => {
  const queue = new JobQueue();
  const [first, second] = [held(), held()];
  const abort = new AbortController();
  const one = queue.add(first.work, { signal: abort.signal });
  await turns();
  const two = queue.add(second.work);
  abort.abort();
  await assert.rejects(one, { name: 'AbortError' });
  await turns();
  assert.deepEqual([first.job.signal?.aborted, second.job.started], [true, false], 'the engine is still busy with it');
  first.job.end();
  await turns();
  assert.equal(second.job.started, true);
  second.job.end();
  await two;
});

test('anything newer cancels a preview, running or waiting', async () => {
  const queue = new JobQueue();
  const [first, second] = [held(), held()];
  const running = queue.add(first.work, { hover: true });
  const click = queue.add(second.work);
  await assert.rejects(running, { name: 'AbortError' });
  first.job.end();
  const waiting = queue.add(async () => 'preview', { hover: true });
  const newer = queue.add(async () => 'newer', { hover: true });
  await assert.rejects(waiting, { name: 'AbortError' });
  await turns();
  second.job.end('click');
  assert.deepEqual(await Promise.all([click, newer]), ['click', 'newer'], 'a click is no preview');
});

test('closed, everything rejects with the reason, later jobs too', async () => {
  const queue = new JobQueue();
  const first = held();
  const promises = [queue.add(first.work), queue.add(async () => 1)];
  await turns();
  const reason = new Error('closed by the test');
  queue.close(reason);
  promises.push(queue.add(async () => 2));
  for (const promise of promises) await assert.rejects(promise, reason);
  assert.equal(first.job.signal?.reason, reason);
});
