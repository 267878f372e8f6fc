// Concurrency: retrieve and ingest ramp together to 5, to 10 and down to 0 a second; retrieve P95 < 500 ms and checks > 0.9,
// ingest P95 < 900 ms and checks > 0.85. Knobs: RETRIEVE_RATE, INGEST_RATE (per second at the top), STAGE_S.
import { ask, ingest as send, number, options as made, ramping, seconds } from './lib.js';

export { canary, handleSummary } from './lib.js';

const stageS = seconds('STAGE_S', 30);

function upAndDown(name, top) {
  return ramping(name, name, 0, [[stageS, top / 2], [stageS, top], [stageS, 0]]);
}

export const options = made(
  { retrieve: upAndDown('retrieve', number('RETRIEVE_RATE', 10)), ingest: upAndDown('ingest', number('INGEST_RATE', 10)) },
  {
    'http_req_duration{op:retrieve}': ['p(95)<500'],
    'checks{op:retrieve}': ['rate>0.9'],
    'http_req_duration{op:ingest}': ['p(95)<900'],
    'checks{op:ingest}': ['rate>0.85'],
  },
);

export function retrieve() {
  ask();
}

export function ingest() {
  send();
}
