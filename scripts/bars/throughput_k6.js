// One constant arrival rate on one URL; nothing but the requests. Dropped iterations stand in the summary.
import http from 'k6/http';

const env = __ENV;

export const options = {
  scenarios: {
    hold: {
      executor: 'constant-arrival-rate',
      rate: Number(env.RATE),
      timeUnit: '1s',
      duration: `${env.SECONDS}s`,
      preAllocatedVUs: Number(env.VUS),
      maxVUs: Number(env.VUS),
      gracefulStop: '5s',
    },
  },
  discardResponseBodies: env.KEEP_BODIES !== '1',
  thresholds: {},
};

export default function () {
  http.get(env.URL);
}

export function handleSummary(data) {
  const count = (name) => (data.metrics[name] ? data.metrics[name].values.count : 0);
  const failed = data.metrics.http_req_failed ? data.metrics.http_req_failed.values.passes : 0;
  return { stdout: JSON.stringify({ done: count('iterations'), dropped: count('dropped_iterations'), failed: failed }) + '\n' };
}
