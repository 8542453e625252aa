// Fills a BullMQ queue and drains it with one worker process. Prints {"seconds": s}; ids go to IDS_FILE.
import { writeFileSync } from 'node:fs';
import { Queue, Worker } from 'bullmq';

const { REDIS_PORT, JOBS, ARGS_BYTES, CONCURRENCY, IDS_FILE } = process.env;
const total = Number(JOBS);
const connection = { host: '127.0.0.1', port: Number(REDIS_PORT), maxRetriesPerRequest: null };

// `{"n":123456,"pad":"..."}` of ARGS_BYTES bytes.
function payload(n) {
  const bare = JSON.stringify({ n, pad: '' }).length;
  return { n, pad: 'x'.repeat(Number(ARGS_BYTES) - bare) };
}

const queue = new Queue('drain', { connection });
for (let n = 0; n < total; n += 1000) {
  const bulk = [];
  for (let i = n; i < Math.min(n + 1000, total); i++) {
    bulk.push({ name: 'noop', data: payload(i), opts: { removeOnComplete: true, removeOnFail: true } });
  }
  await queue.addBulk(bulk);
}

const ran = [];
let completed = 0;
const worker = new Worker('drain', async (job) => { ran.push(job.data.n); }, {
  connection,
  concurrency: Number(CONCURRENCY),
  autorun: false,
  removeOnComplete: { count: 0 },
});
await worker.waitUntilReady();
const done = new Promise((resolve) => {
  worker.on('completed', () => { if (++completed === total) resolve(); });
});
const start = process.hrtime.bigint();
worker.run();
await done;
const seconds = Number(process.hrtime.bigint() - start) / 1e9;
writeFileSync(IDS_FILE, ran.join('\n'));
console.log(JSON.stringify({ seconds }));
process.exit(0);
