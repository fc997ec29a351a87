// Enrols three people in a line, records an order of the last one, and checks what each has in the wallet.
// Nothing here is generated: the contracts are read from protos/ at start.

import assert from "node:assert";
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import grpc from "@grpc/grpc-js";
import loader from "@grpc/proto-loader";

const CALL_SECONDS = 10; // the services refuse a call without a deadline
const WAIT_SECONDS = 30;
const PROGRAM = "uds";

const contracts = grpc.loadPackageDefinition(
  loader.loadSync(
    [
      "upline/attribution/v1/participant.proto",
      "upline/attribution/v1/conversion.proto",
      "upline/rewards/v1/reward.proto",
      "upline/rewards/v1/wallet.proto",
    ],
    {
      includeDirs: [fileURLToPath(new URL("../../protos", import.meta.url))],
      keepCase: true, // fields are called what the contracts call them
      longs: String, // amounts are int64: a JavaScript number would lose the last digits of a large one
      enums: String,
      defaults: true,
    },
  ),
).upline;

/** A client of one service whose methods take a request and return a promise of the answer. */
function connect(Service, address) {
  const client = new Service(address, grpc.credentials.createInsecure());
  const methods = Object.values(Service.service).filter((method) => !method.requestStream && !method.responseStream);
  const calls = methods.map(({ originalName }) => {
    const call = promisify(client[originalName]).bind(client);
    return [originalName, (request) => call(request, { deadline: Date.now() + CALL_SECONDS * 1000 })];
  });
  return { ...Object.fromEntries(calls), close: () => client.close() };
}

const attribution = process.env.UPLINE_ATTRIBUTION_ADDR ?? "127.0.0.1:7101";
const rewards = process.env.UPLINE_REWARDS_ADDR ?? "127.0.0.1:7102";
const participants = connect(contracts.attribution.v1.ParticipantService, attribution);
const conversions = connect(contracts.attribution.v1.ConversionService, attribution);
const rewarding = connect(contracts.rewards.v1.RewardService, rewards);
const wallets = connect(contracts.rewards.v1.WalletService, rewards);

/** Sends a request two times: the second changes nothing and gives the same answer. */
async function twice(method, request) {
  const first = await method(request);
  assert.deepEqual(await method(request), first);
  return first;
}

/** Waits until the order is paid to `count` people: rewards follow a recorded order within moments. */
async function untilPaid(conversion_id, count) {
  for (const end = Date.now() + WAIT_SECONDS * 1000; Date.now() < end; await sleep(50)) {
    const page = await rewarding.listRewards({ program_id: PROGRAM, conversion_id });
    if (page.rewards.length === count) return;
  }
  throw new Error(`order ${conversion_id} was not paid to ${count} people within ${WAIT_SECONDS} seconds`);
}

/** "12.50" for 1250 minor units of two digits, exact for every int64. */
function decimal(minor, digits) {
  const text = String(minor).padStart(digits + 1, "0");
  return digits ? `${text.slice(0, -digits)}.${text.slice(-digits)}` : text;
}

async function main() {
  const run = randomUUID().slice(0, 8); // so that every run enrols new people
  const line = ["anna", "boris", "clara"].map((name) => `${name}-${run}`);
  for (const [number, participant_id] of line.entries()) {
    const sponsor_id = number ? line[number - 1] : "";
    const request_id = `enrol-${participant_id}`;
    const participant = { participant_id, sponsor_id };
    await twice(participants.enrollParticipant, { request_id, program_id: PROGRAM, participant });
    console.log(sponsor_id ? `${participant_id}, invited by ${sponsor_id}` : participant_id);
  }

  const conversion_id = `order-${run}`;
  const amount = { currency_code: "RUB", amount_minor: "250000" };
  const conversion = { conversion_id, event_type: "order", amount };
  const refused = await conversions.recordConversion({ program_id: PROGRAM, conversion }).catch((error) => error);
  assert.equal(refused.code, grpc.status.INVALID_ARGUMENT);
  assert.match(refused.details, /^conversion\.buyer_id: /);
  console.log(`refused, as it should be: ${refused.details}`);

  conversion.buyer_id = line[2];
  const recorded = await twice(conversions.recordConversion, { program_id: PROGRAM, conversion });
  const { referrer_id, reason } = recorded.conversion.attribution;
  assert.equal(referrer_id, line[1]);
  console.log(`${conversion_id} of ${line[2]}: credited to ${referrer_id} (${reason})`);

  await untilPaid(conversion_id, line.length);
  // 5 % for the buyer at once; 3 % and 1 % for the two above, held until the goods cannot be returned any more.
  const expected = [
    "0.00 points available, 25.00 held",
    "0.00 points available, 75.00 held",
    "125.00 points available, 0.00 held",
  ];
  for (const [number, participant_id] of line.entries()) {
    const wallet = await wallets.getWallet({ program_id: PROGRAM, participant_id });
    const told = wallet.balances.map(({ asset, minor_digits, available_minor, held_minor }) => {
      const [available, held] = [available_minor, held_minor].map((minor) => decimal(minor, minor_digits));
      return `${available} ${asset} available, ${held} held`;
    });
    assert.deepEqual(told, [expected[number]]);
    console.log(`${participant_id}: ${told}`);
  }
  console.log("as it should be");
}

try {
  await main();
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
} finally {
  for (const client of [participants, conversions, rewarding, wallets]) client.close();
}
