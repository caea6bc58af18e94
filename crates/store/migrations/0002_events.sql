-- What happened to a task: numbered from 1 without gaps. Only the latest are kept, so the lowest number
-- tells how many were dropped.

CREATE TABLE task_events (
  task {KEY} NOT NULL,
  seq BIGINT NOT NULL,
  at BIGINT NOT NULL,
  kind {KEY} NOT NULL,
  message TEXT NOT NULL,
  PRIMARY KEY (task, seq)
);
