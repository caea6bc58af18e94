//! Pages beside the clouds' APIs: health, and downloads of report files.
//!
//! A report's address carries a token that only this server can make for it; without the right one
//! there is no page, whether or not the file exists. One that has ended gets the object stores' own words
//! for an address that has (status 403, `AccessDenied`, an XML body), because in the products these
//! addresses lead to an object store.

use api::pages::{PageBody, PageRequest, Pages, page};
use async_trait::async_trait;
use bytes::Bytes;
use control::{Control, ReportAccess};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use model::{TaskId, Timestamp};
use std::io::Read as _;

/// See the module.
pub struct Files(pub Control);

/// Bytes read at a time.
const CHUNK: usize = 64 << 10;

#[async_trait]
impl Pages for Files {
    async fn get(&self, request: PageRequest) -> Option<http::Response<PageBody>> {
        if request.path == "/healthz" {
            return Some(page(200, "text/plain", "ok\n"));
        }
        let (task, file) = request.path.strip_prefix("/reports/")?.split_once('/')?;
        let token = request.query.split('&').find_map(|p| p.strip_prefix("token="))?;
        let task = TaskId::from(task);
        match self.0.check_report_token(&task, file, token) {
            ReportAccess::Granted => {}
            ReportAccess::Expired(ends) => return Some(self.expired(ends)),
            ReportAccess::Refused => return None,
        }
        let path = self.0.report_path(&task, file)?;
        let kind = if file.ends_with(".csv") { "text/csv" } else { "application/x-ndjson" };
        let opened = runtime::blocking(move || std::fs::File::open(path)).await.ok()?.ok()?;
        let length = opened.metadata().ok()?.len();
        let mut response = http::Response::new(stream(opened));
        let headers = response.headers_mut();
        headers.insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static(kind));
        headers.insert(http::header::CONTENT_LENGTH, http::HeaderValue::from(length));
        Some(response)
    }
}

impl Files {
    fn expired(&self, ends: Timestamp) -> http::Response<PageBody> {
        let time = |us: i64| api::encode::iso8601(us.div_euclid(1_000_000)).unwrap_or_default();
        let (ends, now) = (time(ends.0), time(self.0.clock().now().0));
        let id = self.0.random().hex(24).to_ascii_uppercase();
        let body = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>AccessDenied</Code>\
             <Message>Request has expired.</Message><RequestId>{id}</RequestId>\
             <Expires>{ends}</Expires><ServerTime>{now}</ServerTime></Error>\n"
        );
        page(403, "application/xml", body)
    }
}

fn stream(file: std::fs::File) -> PageBody {
    let chunks = futures_util::stream::try_unfold(file, |mut file| async move {
        let read = runtime::blocking(move || {
            let mut chunk = vec![0; CHUNK];
            let n = file.read(&mut chunk)?;
            chunk.truncate(n);
            Ok::<_, std::io::Error>((chunk, file))
        });
        let (chunk, file) = read.await.map_err(std::io::Error::other)??;
        Ok(if chunk.is_empty() { None } else { Some((Frame::data(Bytes::from(chunk)), file)) })
    });
    StreamBody::new(chunks).boxed_unsync()
}
