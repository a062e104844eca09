import { parseArgs } from 'node:util';

import { findRedis } from '../support/redis-server/index.js';
import { type Bench, type Finding, isMet, redisStarter } from './bench.js';
import { cluster } from './cluster.js';
import { connections } from './connections.js';
import { current } from './current.js';
import { expiry } from './expiry.js';
import { flood } from './flood.js';
import { heap } from './heap.js';
import { buildLibrary } from './library-build.js';
import { asJson, asMarkdown, asText } from './report.js';
import { manyCredentials } from './many-credentials.js';
import { reauthentication } from './reauthentication.js';
import { saveToObserved } from './save-to-observed.js';

const BENCHES: readonly Bench[] = [
  saveToObserved,
  expiry,
  current,
  heap,
  connections,
  cluster,
  manyCredentials,
  reauthentication,
  flood,
];

const { values: flags } = parseArgs({
  options: {
    only: { type: 'string', multiple: true },
    quick: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
    markdown: { type: 'boolean', default: false },
    strict: { type: 'boolean', default: false },
  },
});

const names = BENCHES.map(({ name }) => name);
const unknown = flags.only?.filter((name) => !names.includes(name)) ?? [];
if (unknown.length > 0) {
  console.error(`--only knows ${names.join(', ')}, not ${unknown.join(', ')}`);
  process.exit(2);
}

const provider = await findRedis();
const findings: Finding[] = [];
{
  await using library = await buildLibrary();
  const context = {
    library,
    quick: flags.quick,
    startRedis: redisStarter(provider),
    progress: (line: string) => console.error(line),
  };
  for (const bench of BENCHES) {
    if (flags.only !== undefined && !flags.only.includes(bench.name)) continue;
    context.progress(bench.question);
    findings.push(...(await bench.run(context)));
  }
}

const format = flags.json ? asJson : flags.markdown ? asMarkdown : asText;
console.log(format(findings));
if (flags.strict && findings.some((finding) => isMet(finding) === false)) process.exitCode = 1;
