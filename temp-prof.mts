import { Redis } from 'ioredis';
import { Session } from 'node:inspector/promises';
import { RedisCredentialDirectory } from './dist/index.js';
import { writeFileSync } from 'node:fs';
const url = process.argv[2];
const client = new Redis(url);
const N = 100000;
for (let f = 0; f < N; f += 1000) { const p = client.pipeline(); for (let i = f; i < f + 1000; i++) p.set('bench:tenant-' + String(i).padStart(8,'0'), JSON.stringify({accessToken: 'token-' + i}), 'PX', 86400000 + i); await p.exec(); }
const d = new RedisCredentialDirectory(client, { prefix: 'bench:' });
const s = new Session(); s.connect(); await s.post('Profiler.enable'); await s.post('Profiler.start');
const t = performance.now();
const opening = []; const stores=[];
for (let i = 0; i < N; i++) { const st = d.store('tenant-' + String(i).padStart(8,'0')); stores.push(st); opening.push(st.ready({timeoutMs: Infinity})); if (i % 500 === 499) await new Promise(r => setImmediate(r)); }
console.log('opened', performance.now() - t);
await Promise.all(opening);
console.log('live', performance.now() - t);
const { profile } = await s.post('Profiler.stop');
const self = new Map();
const dt = profile.timeDeltas; const byId = new Map(profile.nodes.map(n => [n.id, n]));
profile.samples.forEach((id, i) => { const n = byId.get(id); const k = n.callFrame.functionName + ' ' + n.callFrame.url.split('/').slice(-2).join('/') + ':' + n.callFrame.lineNumber; self.set(k, (self.get(k) ?? 0) + dt[i] / 1000); });
for (const [k, v] of [...self].sort((a, b) => b[1] - a[1]).slice(0, 28)) console.log(v.toFixed(0).padStart(6), k);
await d.close(); client.disconnect();
