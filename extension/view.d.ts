// What the worker sends to the popup: the same as `wasm/src/worker/view.rs`.

export type Tone = "calm" | "amber" | "red" | "working" | "quiet" | "good";
export type Note = { tone: Tone; text: string };
export type Intent = { [what: string]: { [field: string]: unknown } };
export type Button = { label: string; intent: Intent; disabled: string | null; busy: boolean };
export type Step = { text: string; command: string | null };
export type Trouble = { tone: Tone; title: string; text: string; steps: Step[]; button: Button | null };
export type Ring = { part: number; clock: string; words: string };
export type TicketLine = { text: string; url: string | null };
export type Choice = { label: string; intent: Intent; chosen: boolean };
export type Report = { tab: number; title: string; text: string; label: string };
export type Allow = { pattern: string; text: string; label: string };

export type PartCard = {
  directory: string;
  tone: Tone;
  state: string | null;
  account: string | null;
  rights: string[];
  copy_password: Button | null;
};

export type Card = {
  id: string;
  tone: Tone;
  title: string;
  subtitle: string;
  state: string | null;
  ring: Ring | null;
  ends: string | null;
  account: string | null;
  rights: string[];
  parts: PartCard[];
  ticket: TicketLine | null;
  note: Note | null;
  counts: Note | null;
  copy_password: Button | null;
  extend: Button | null;
  end: Button | null;
  limits: string | null;
};

export type JobView = {
  tone: Tone;
  title: string;
  text: string;
  steps: Step[];
  retry: Button | null;
  dismiss: Button | null;
  change_first: boolean;
};

export type FormView = {
  serial: number;
  title: string;
  ticket: TicketLine | null;
  said: string | null;
  caution: Note | null;
  use_page: Button | null;
  number: string;
  number_shown: boolean;
  number_required: boolean;
  customers: Choice[];
  customer_mark: Note | null;
  suggested: Choice[];
  policies: Choice[];
  policy_mark: Note | null;
  durations: Choice[];
  reason: string;
  reason_max: number;
  limits: string | null;
  activate: Button;
  folded: boolean;
  show_button: Button | null;
};

export type View = {
  announce: string;
  trouble: Trouble | null;
  sessions: Card[];
  form: FormView | null;
  job: JobView | null;
  notices: Note[];
  allow: Allow | null;
  report: Report | null;
  foot: string;
  loading: boolean;
};
