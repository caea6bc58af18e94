-- Streams of the DIS API, the applications that read them, and what happened each minute.

CREATE TABLE dis_streams (
  id {KEY} PRIMARY KEY,
  account {KEY} NOT NULL,
  name {KEY} NOT NULL,
  created BIGINT NOT NULL,
  record TEXT NOT NULL,
  UNIQUE (account, name)
);

CREATE TABLE dis_apps (
  id {KEY} PRIMARY KEY,
  account {KEY} NOT NULL,
  name {KEY} NOT NULL,
  created BIGINT NOT NULL,
  record TEXT NOT NULL,
  UNIQUE (account, name)
);

CREATE TABLE dis_checkpoints (
  app {KEY} NOT NULL,
  stream {KEY} NOT NULL,
  part BIGINT NOT NULL,
  sequence BIGINT NOT NULL,
  metadata TEXT NOT NULL,
  PRIMARY KEY (app, stream, part)
);
CREATE INDEX dis_checkpoints_by_stream ON dis_checkpoints (stream);

-- Sums of a minute. part -1 = of the whole stream.
CREATE TABLE dis_minutes (
  stream {KEY} NOT NULL,
  part BIGINT NOT NULL,
  minute BIGINT NOT NULL,
  put_bytes BIGINT NOT NULL,
  put_records BIGINT NOT NULL,
  get_bytes BIGINT NOT NULL,
  get_records BIGINT NOT NULL,
  puts BIGINT NOT NULL,
  put_us BIGINT NOT NULL,
  gets BIGINT NOT NULL,
  get_us BIGINT NOT NULL,
  put_refused BIGINT NOT NULL,
  get_refused BIGINT NOT NULL,
  PRIMARY KEY (stream, part, minute)
);
CREATE INDEX dis_minutes_by_time ON dis_minutes (minute);
