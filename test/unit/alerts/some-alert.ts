import type { Alert } from "../../../src/catalog/alerts.ts";

export const ALERT: Alert = {
  id: "20261108T120000Z-3f9a2c81",
  key: "wal_gap/orders/onsite",
  kind: "wal_gap",
  severity: "P1",
  source: "orders",
  repository: "onsite",
  title: "gap in the WAL of orders in onsite",
  detail: "2 gaps <!channel> & co",
  whatToDo: "take a full backup now",
  since: "2026-11-08T11:59:00.000Z",
  state: "open",
  raisedAt: "2026-11-08T12:00:00.000Z",
  acknowledgedAt: null,
  acknowledgedBy: null,
  acknowledgeReason: null,
  resolvedAt: null,
};
