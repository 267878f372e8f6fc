// Retrieve latency: 5 a second for a minute (5 VUs with 1 s of think time in the source); P95 < 500 ms, checks > 0.95.
// Knobs: RETRIEVE_RATE (per second), DURATION_S.
import { ask, constant, number, options as made, seconds } from './lib.js';

export { canary, handleSummary } from './lib.js';

export const options = made(
  { retrieve: constant('retrieve', 'retrieve', number('RETRIEVE_RATE', 5), seconds('DURATION_S', 60)) },
  { 'http_req_duration{op:retrieve}': ['p(95)<500'], 'checks{op:retrieve}': ['rate>0.95'] },
);

export function retrieve() {
  ask();
}
