// Ingest throughput: 10 a second for a minute; P95 < 800 ms, checks > 0.9 (202 here, see lib.js).
// Knobs: INGEST_RATE (per second), DURATION_S.
import { constant, ingest as send, number, options as made, seconds } from './lib.js';

export { canary, handleSummary } from './lib.js';

export const options = made(
  { ingest: constant('ingest', 'ingest', number('INGEST_RATE', 10), seconds('DURATION_S', 60)) },
  { 'http_req_duration{op:ingest}': ['p(95)<800'], 'checks{op:ingest}': ['rate>0.9'] },
);

export function ingest() {
  send();
}
