//! The table of positions, beside the target table.

use connector::records::{Mark, Split};
use connector::{Error, ErrorKind};

use crate::fault::Trouble;
use crate::link::Link;
use crate::options::Engine;

const NAME: &str = "wharf_positions";

/// The table of one schema, as one owner of one pipeline uses it.
#[derive(Debug, Clone)]
pub(crate) struct Positions {
    engine: Engine,
    /// Quoted, with its schema.
    table: String,
    /// Quoted; for the catalogue.
    schema: String,
    pipeline: String,
    owner: String,
}

/// A split's row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seat {
    /// Position in the row; -1 before the first.
    pub(crate) next: i64,
    pub(crate) mark: Option<Mark>,
    pub(crate) ours: bool,
}

impl Positions {
    pub(crate) fn new(engine: Engine, schema: &str, pipeline: &str, owner: &str) -> Self {
        let table = format!("{}.{}", engine.quote(schema), engine.quote(NAME));
        let (schema, pipeline, owner) = (schema.to_owned(), pipeline.to_owned(), owner.to_owned());
        Self { engine, table, schema, pipeline, owner }
    }

    /// Makes the table unless it is there. (Looks first: who may not make tables may still use one.)
    pub(crate) async fn create(&self, link: &mut Link) -> Result<(), Trouble> {
        let is_there = match self.engine {
            Engine::Postgres => {
                "SELECT 'yes' FROM pg_tables WHERE schemaname = $1 AND tablename = 'wharf_positions'"
            }
            Engine::MySql => {
                "SELECT 'yes' FROM information_schema.tables WHERE table_schema = ? AND table_name = 'wharf_positions'"
            }
        };
        if !link.rows(is_there, &[&self.schema]).await?.is_empty() {
            return Ok(());
        }
        let sql = match self.engine {
            Engine::Postgres => format!(
                "CREATE TABLE IF NOT EXISTS {} (pipeline text NOT NULL, topic text NOT NULL, partition int NOT NULL, \
                 next bigint NOT NULL, mark text NOT NULL, owner text NOT NULL, epoch bigint NOT NULL, \
                 PRIMARY KEY (pipeline, topic, partition))",
                self.table
            ),
            Engine::MySql => format!(
                "CREATE TABLE IF NOT EXISTS {} (pipeline VARCHAR(64) NOT NULL, topic VARCHAR(255) NOT NULL, \
                 `partition` INT NOT NULL, next BIGINT NOT NULL, mark VARCHAR(2000) NOT NULL, owner VARCHAR(64) NOT NULL, \
                 epoch BIGINT NOT NULL, PRIMARY KEY (pipeline, topic, `partition`)) \
                 ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin",
                self.table
            ),
        };
        match link.run(&sql).await {
            Ok(()) => Ok(()),
            // Another lane may have made it in the same moment.
            Err(trouble) => match link.rows(is_there, &[&self.schema]).await {
                Ok(rows) if !rows.is_empty() => Ok(()),
                _ => Err(trouble),
            },
        }
    }

    fn place(&self) -> &'static str {
        match self.engine {
            Engine::Postgres => "pipeline = $1 AND topic = $2 AND partition = $3::int",
            Engine::MySql => "pipeline = ? AND topic = ? AND `partition` = CAST(? AS SIGNED)",
        }
    }

    /// Reads a split's row and locks it until the transaction ends.
    pub(crate) async fn look(&self, link: &mut Link, split: &Split) -> Result<Option<Seat>, Trouble> {
        let text = if self.engine == Engine::Postgres { "next::text" } else { "CAST(next AS CHAR)" };
        let sql = format!("SELECT {text}, mark, owner FROM {} WHERE {} FOR UPDATE", self.table, self.place());
        let partition = split.partition.to_string();
        let rows = link.rows(&sql, &[&self.pipeline, &split.topic, &partition]).await?;
        let Some(row) = rows.into_iter().next() else { return Ok(None) };
        let mut words = row.into_iter().map(Option::unwrap_or_default);
        let (next, mark, owner) = (words.next(), words.next(), words.next());
        let next = next.unwrap_or_default().parse().unwrap_or(-1);
        let mark = Mark::parse(&mark.unwrap_or_default());
        Ok(Some(Seat { next, mark, ours: owner.as_deref() == Some(&*self.owner) }))
    }

    /// Takes a split over, within a transaction: the later of the row's mark and the known one, and our word on it.
    pub(crate) async fn claim(
        &self,
        link: &mut Link,
        split: &Split,
        known: Option<Mark>,
    ) -> Result<(i64, Option<Mark>), Trouble> {
        let partition = split.partition.to_string();
        let sql = match self.engine {
            Engine::Postgres => format!(
                "INSERT INTO {} (pipeline, topic, partition, next, mark, owner, epoch) \
                 VALUES ($1, $2, $3::int, -1, '', '', 0) ON CONFLICT DO NOTHING",
                self.table
            ),
            Engine::MySql => format!(
                "INSERT IGNORE INTO {} (pipeline, topic, `partition`, next, mark, owner, epoch) \
                 VALUES (?, ?, CAST(? AS SIGNED), -1, '', '', 0)",
                self.table
            ),
        };
        link.execute(&sql, &[&self.pipeline, &split.topic, &partition]).await?;
        let seat = self.look(link, split).await?;
        let found = seat.and_then(|s| s.mark);
        let best = match (known, found) {
            (Some(k), Some(f)) => Some(if k.next > f.next { k } else { f }),
            (k, f) => f.or(k),
        };
        let next = best.map_or(-1, |m| m.next);
        let mark = best.map(Mark::to_text).unwrap_or_default();
        let sql = match self.engine {
            Engine::Postgres => format!(
                "UPDATE {} SET next = $4::bigint, mark = $5, owner = $6, epoch = epoch + 1 WHERE {}",
                self.table,
                self.place()
            ),
            Engine::MySql => format!(
                "UPDATE {} SET next = ?, mark = ?, owner = ?, epoch = epoch + 1 WHERE {}",
                self.table,
                self.place()
            ),
        };
        let next_text = next.to_string();
        let set: [&str; 3] = [&next_text, &mark, &self.owner];
        if self.update(link, &sql, split, &set, &[]).await? != 1 {
            // A row that was not stored as we named it (an old table's column was too short): nothing could be remembered in it.
            let message = format!("{split}: the table of positions does not take its row");
            return Err(Trouble::Fatal(Error::new(ErrorKind::Unacceptable, message)));
        }
        Ok((next, best))
    }

    /// Moves a split's row on, if it is still ours and where we left it.
    pub(crate) async fn advance(
        &self,
        link: &mut Link,
        split: &Split,
        from: i64,
        mark: Mark,
    ) -> Result<(), Trouble> {
        let sql = match self.engine {
            Engine::Postgres => format!(
                "UPDATE {} SET next = $4::bigint, mark = $5 WHERE {} AND owner = $6 AND next = $7::bigint",
                self.table,
                self.place()
            ),
            Engine::MySql => format!(
                "UPDATE {} SET next = ?, mark = ? WHERE {} AND owner = ? AND next = CAST(? AS SIGNED)",
                self.table,
                self.place()
            ),
        };
        let (next, text, from) = (mark.next.to_string(), mark.to_text(), from.to_string());
        let met = self.update(link, &sql, split, &[&next, &text], &[&self.owner, &from]).await?;
        if met == 1 { Ok(()) } else { Err(lost(split)) }
    }

    /// Binds in the order of each dialect: PostgreSQL by number (place, then `set`, then `more`), MySQL as they stand in the text.
    async fn update(
        &self,
        link: &mut Link,
        sql: &str,
        split: &Split,
        set: &[&str],
        more: &[&str],
    ) -> Result<u64, Trouble> {
        let partition = split.partition.to_string();
        let place: [&str; 3] = [&self.pipeline, &split.topic, &partition];
        let values = match self.engine {
            Engine::Postgres => [&place, set, more].concat(),
            Engine::MySql => [set, &place, more].concat(),
        };
        link.execute(sql, &values).await
    }
}

/// The row is not ours any more.
pub(crate) fn lost(split: &Split) -> Trouble {
    Trouble::Fatal(Error::new(ErrorKind::Changed, format!("{split}: another owner has taken the split over")))
}
