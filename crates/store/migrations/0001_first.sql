-- One text for SQLite and PostgreSQL. {KEY} = text compared by bytes, {BYTES} = raw bytes.
-- Columns exist for what is asked and locked; everything else is in the versioned `record`.

CREATE TABLE meta (
  name {KEY} PRIMARY KEY,
  value {BYTES} NOT NULL
);

CREATE TABLE accounts (
  id {KEY} PRIMARY KEY,
  access_key {KEY} NOT NULL UNIQUE,
  created BIGINT NOT NULL,
  record TEXT NOT NULL
);

CREATE TABLE file_systems (
  id {KEY} PRIMARY KEY,
  created BIGINT NOT NULL,
  record TEXT NOT NULL
);

CREATE TABLE object_stores (
  id {KEY} PRIMARY KEY,
  created BIGINT NOT NULL,
  record TEXT NOT NULL
);

CREATE TABLE filesets (
  id {KEY} PRIMARY KEY,
  file_system {KEY} NOT NULL,
  path {KEY} NOT NULL,
  created BIGINT NOT NULL,
  record TEXT NOT NULL,
  UNIQUE (file_system, path)
);

CREATE TABLE flows (
  id {KEY} PRIMARY KEY,
  account {KEY} NOT NULL,
  door {KEY} NOT NULL,
  file_system {KEY} NOT NULL,
  fileset {KEY},
  object_store {KEY} NOT NULL,
  bucket {KEY} NOT NULL,
  status {KEY} NOT NULL,
  name {KEY} NOT NULL,
  description {KEY} NOT NULL,
  path {KEY} NOT NULL,
  prefix {KEY} NOT NULL,
  created BIGINT NOT NULL,
  -- Counts the changes; a write names the one that it read.
  revision BIGINT NOT NULL,
  record TEXT NOT NULL
);
CREATE INDEX flows_by_file_system ON flows (file_system, created);
CREATE INDEX flows_by_account ON flows (account, created);

CREATE TABLE flow_attributes (
  flow {KEY} NOT NULL,
  name {KEY} NOT NULL,
  value {KEY} NOT NULL,
  PRIMARY KEY (flow, name)
);

-- The hot row of a task: who runs it and since when. What never changes is in task_specs, what every
-- journal write changes is in task_state.
CREATE TABLE tasks (
  id {KEY} PRIMARY KEY,
  account {KEY} NOT NULL,
  door {KEY} NOT NULL,
  kind {KEY} NOT NULL,
  parent {KEY},
  flow {KEY},
  file_system {KEY} NOT NULL,
  object_store {KEY} NOT NULL,
  name {KEY} NOT NULL,
  originator {KEY} NOT NULL,
  status {KEY} NOT NULL,
  created BIGINT NOT NULL,
  started BIGINT,
  ended BIGINT,
  -- The fencing token.
  attempt BIGINT NOT NULL,
  worker {KEY},
  lease_us BIGINT NOT NULL,
  lease_until BIGINT NOT NULL
);
CREATE INDEX tasks_by_status ON tasks (status, created);
CREATE INDEX tasks_by_account ON tasks (account, created);
CREATE INDEX tasks_by_flow ON tasks (flow, status);
CREATE INDEX tasks_by_parent ON tasks (parent, status);
CREATE INDEX tasks_by_created ON tasks (created);

CREATE TABLE task_specs (
  task {KEY} PRIMARY KEY,
  record TEXT NOT NULL
);

CREATE TABLE task_attributes (
  task {KEY} NOT NULL,
  name {KEY} NOT NULL,
  value {KEY} NOT NULL,
  PRIMARY KEY (task, name)
);

CREATE TABLE task_state (
  task {KEY} PRIMARY KEY,
  -- Ledger and progress: always those of `checkpoint`.
  account TEXT NOT NULL,
  outcome TEXT,
  checkpoint {BYTES}
);

CREATE TABLE receipts (
  task {KEY} PRIMARY KEY,
  made BIGINT NOT NULL,
  record TEXT NOT NULL
);

CREATE TABLE tokens (
  account {KEY} NOT NULL,
  action {KEY} NOT NULL,
  token {KEY} NOT NULL,
  fingerprint {BYTES} NOT NULL,
  answer {KEY} NOT NULL,
  expires BIGINT NOT NULL,
  PRIMARY KEY (account, action, token)
);
CREATE INDEX tokens_by_expiry ON tokens (expires);
