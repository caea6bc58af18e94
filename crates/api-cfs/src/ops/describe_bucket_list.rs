//! `DescribeBucketList`: buckets that a key can list at a vendor's stores of the catalogue.

use crate::fault::{self, refuse};
use crate::request::Ask;
use crate::translate::services::Service;
use api::{Field, Operation, Outcome, Reply, Ty};
use serde::Serialize;

/// Its fields.
pub const OPERATION: Operation = Operation {
    action: "DescribeBucketList",
    request: &[
        Field::new("SrcService", Ty::Str).required(),
        Field::new("SrcSecretId", Ty::Str).required(),
        Field::new("SrcSecretKey", Ty::Str).required(),
    ],
    response: &[
        Field::new("TotalCount", Ty::Int),
        Field::new("BucketList", Ty::List(&Ty::Object(BUCKET_INFO))),
    ],
    note: "Asks every store of the catalogue that belongs to the vendor with the request's key, and shows the \
           buckets that requests may name. Region is the store's.",
};

const BUCKET_INFO: &[Field] = &[Field::new("Name", Ty::Str), Field::new("Region", Ty::Str)];

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    total_count: usize,
    bucket_list: Vec<BucketInfo>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct BucketInfo {
    name: String,
    region: Option<String>,
}

/// Answers. A store that refuses the key is passed over as long as another one takes it.
///
/// # Errors
/// In the vendor's words.
pub async fn answer(ask: &Ask<'_>) -> Outcome {
    let p = ask.params(&OPERATION)?;
    let service = Service::named(p.text("SrcService"))
        .ok_or_else(|| fault::value("The SrcService must be COS, OSS, OBS, BOS or TOS."))?;
    let credentials = ask.credentials(p.text("SrcSecretId"), p.text("SrcSecretKey"), fault::VALUE)?;
    let catalogue = ask.control.object_stores().await.map_err(|e| ask.fault(&e))?;
    let mut bucket_list = Vec::new();
    let (mut answered, mut refusal) = (false, None);
    for store in service.stores(&catalogue, "") {
        match ask.control.buckets(store, Some(&credentials)).await {
            Ok(names) => {
                answered = true;
                let region = Some(store.region.clone()).filter(|r| !r.is_empty());
                bucket_list.extend(names.into_iter().map(|name| BucketInfo { name, region: region.clone() }));
            }
            Err(e) => refusal = refusal.or_else(|| Some(ask.fault(&e))),
        }
    }
    if !answered {
        let none = || refuse(fault::UNSUPPORTED, format!("This server knows no {} store.", service.name));
        return Err(refusal.unwrap_or_else(none));
    }
    Reply::from_serialize(&Answer { total_count: bucket_list.len(), bucket_list })
}
