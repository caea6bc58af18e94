-- When a mark was written down last: dump tasks tell it. 0 = never.
ALTER TABLE pipeline_marks ADD COLUMN moved BIGINT NOT NULL DEFAULT 0;
