import type { Random } from "./random.ts";

/**
 * Rows that look like a shop's: names, prose, identifiers, times, amounts. Their pages compress three to four times, as real ones do;
 * pgbench's filler compresses ten times better, and a test or a measurement on it says nothing.
 */
const WORDS =
  "the of and to in is that for it was on are as with they be at one have this from or had by hot but some what there we can out other were all your when up use word how said an each she which do their time if will way about many then them would write like so these her long make thing see him two has look more day could go come did my sound no most number who over know water than call first people may down side been now find any new work part take get place made live where after back little only round man year came show every good me give our under name very through just form much great think say help low line before turn cause same mean differ move right boy old too does tell sentence set three want air well also play small end put home read hand port large spell add even land here must big high such follow act why ask men change went light kind off need house picture try us again animal point mother world near build self earth father head stand own page should country found answer school grow study still learn plant cover food sun four thought let keep eye never last door between city tree cross since hard start might story saw far sea draw left late run while press close night real life few stop open seem together next white children begin got walk example ease paper often always music those both mark book letter until mile river car feet care second group carry took rain eat room friend began idea fish mountain north once base hear horse cut sure watch color face wood main".split(
    " ",
  );
const FIRST = [
  "Ada",
  "Bela",
  "Carmen",
  "Dmitri",
  "Elif",
  "Farid",
  "Greta",
  "Hiro",
  "Ines",
  "Jonas",
  "Kofi",
  "Lena",
  "Mateo",
  "Nadia",
  "Oskar",
  "Priya",
  "Quinn",
  "Rosa",
  "Sven",
  "Tomoko",
];
const LAST = [
  "Abara",
  "Bergmann",
  "Castillo",
  "Dubois",
  "Eriksen",
  "Fischer",
  "Gupta",
  "Haddad",
  "Ivanova",
  "Jansen",
  "Kowalski",
  "Lindqvist",
  "Moreau",
  "Nakamura",
  "Okafor",
  "Petrov",
];
const CITIES = ["Lisboa", "Kraków", "Göteborg", "Lyon", "Porto", "Graz", "Utrecht", "Bilbao", "Tartu", "Gent", "Brno", "Aarhus"];
const STATUSES = ["new", "paid", "packed", "shipped", "delivered", "returned"];
const EPOCH_MS = Date.UTC(2024, 0, 1);

/** Words as prose has them: few are frequent, many are rare; now and then a number or a code that no dictionary holds. */
export function prose(random: Random, words: number): string {
  const text = Array.from({ length: words }, () => {
    if (random.chance(0.06)) return random.chance(0.5) ? String(random.integer(10, 999_999)) : random.hex(8);
    return WORDS[Math.floor(WORDS.length * random.next() ** 1.8)] ?? "";
  }).join(" ");
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;
}

export function timestamp(random: Random): string {
  return new Date(EPOCH_MS + random.integer(0, 700 * 24 * 3600) * 1000 + random.integer(0, 999)).toISOString();
}

export interface CustomerRow {
  readonly id: number;
  readonly email: string;
  readonly name: string;
  readonly address: { city: string; street: string; zip: string };
  readonly tags: string[];
  readonly created: string;
  readonly note: string;
}

export function customer(random: Random, id: number): CustomerRow {
  const first = random.pick(FIRST);
  const last = random.pick(LAST);
  return {
    id,
    email: `${first}.${last}.${id}@example.org`.toLowerCase(),
    name: `${first} ${last}`,
    address: { city: random.pick(CITIES), street: `${random.pick(WORDS)} street ${random.integer(1, 200)}`, zip: String(random.integer(10_000, 99_999)) },
    tags: random.sample(WORDS.slice(0, 40), random.integer(0, 4)),
    created: timestamp(random),
    note: prose(random, random.integer(4, 24)),
  };
}

export interface OrderRow {
  readonly id: number;
  readonly customer: number;
  readonly reference: string;
  readonly placed: string;
  readonly amount: string;
  readonly status: string;
  readonly body: string;
}

export function order(random: Random, id: number, customers: number): OrderRow {
  return {
    id,
    customer: random.integer(1, customers),
    reference: random.uuid(),
    placed: new Date(EPOCH_MS + id * 37_000 + random.integer(0, 30_000)).toISOString(), // roughly in order, as BRIN wants it
    amount: (random.integer(100, 500_000) / 100).toFixed(2),
    status: random.pick(STATUSES),
    body: prose(random, random.integer(10, 40)),
  };
}

/** Long enough that PostgreSQL moves it out of the row. */
export function documentText(random: Random): string {
  return Array.from({ length: random.integer(4, 24) }, () => prose(random, random.integer(60, 140))).join("\n");
}
