//! Buckets.

use bytes::Bytes;
use http::Method;

use crate::civil;
use crate::client::{Call, Client};
use crate::fault::Fault;
use crate::xml::{self, Node};

/// A bucket of the account.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Bucket {
    /// Name.
    pub name: String,
    /// When it was made, ns since the epoch; 0 when it can't be read.
    pub created_ns: i64,
}

impl Client {
    /// Is the bucket there and may we see it? Says what the server calls itself.
    ///
    /// # Errors
    /// `NotFound`, `Denied`, `Unavailable`.
    pub async fn head_bucket(&self, bucket: &str) -> Result<Option<Box<str>>, Fault> {
        let answer = self.call(Call::new(Method::HEAD, bucket, "")).await?;
        Ok(answer.text(&http::header::SERVER).map(Into::into))
    }

    /// All buckets of the account.
    ///
    /// # Errors
    /// `Denied`, `Unavailable`.
    pub async fn list_buckets(&self) -> Result<Vec<Bucket>, Fault> {
        let body = self.call(Call::new(Method::GET, "", "")).await?.xml().await?;
        let mut all: Vec<Bucket> = Vec::new();
        xml::walk(&body, |depth, node| match (depth, node) {
            (3, Node::Open("Bucket")) => all.push(Bucket::default()),
            (4, Node::Close("Name", t)) => {
                if let Some(b) = all.last_mut() {
                    t.clone_into(&mut b.name);
                }
            }
            (4, Node::Close("CreationDate", t)) => {
                if let Some(b) = all.last_mut() {
                    b.created_ns = civil::parse_iso(t.trim()).unwrap_or(0);
                }
            }
            _ => {}
        })?;
        Ok(all)
    }

    /// Makes a bucket.
    ///
    /// # Errors
    /// `Exists`, `Denied`, `Unacceptable`, `Unavailable`.
    pub async fn create_bucket(&self, bucket: &str) -> Result<(), Fault> {
        let region = &self.site().config().region;
        let body = if region == "us-east-1" {
            Bytes::new()
        } else {
            format!("<CreateBucketConfiguration><LocationConstraint>{region}</LocationConstraint></CreateBucketConfiguration>").into()
        };
        let mut call = Call::new(Method::PUT, bucket, "");
        let body = [body];
        call.body = &body;
        self.call(call).await?.xml().await?;
        Ok(())
    }

    /// Removes an empty bucket.
    ///
    /// # Errors
    /// `NotFound`, `Denied`, `Other` it is not empty.
    pub async fn delete_bucket(&self, bucket: &str) -> Result<(), Fault> {
        self.call(Call::new(Method::DELETE, bucket, "")).await.map(drop)
    }
}
