//! The commented configuration that `wharf init` writes.

/// The text, with a fresh key pair for the first account.
pub fn text(access_key_id: &str, secret: &str) -> String {
    TEMPLATE.replace("{ACCESS_KEY_ID}", access_key_id).replace("{ACCESS_KEY_SECRET}", secret)
}

const TEMPLATE: &str = r#"# Wharfinger. `wharf check wharf.toml` reports every problem at once; `wharf serve --config wharf.toml` runs it.
# Relative paths are taken from the folder of this file.

data_dir = "wharf-data"             # state (SQLite), reports, master key

[listen]
address = "127.0.0.1:8480"          # one port for all clouds' SDKs and the command line
# tls_certificate = "cert.pem"      # PEM chain and key: the port then speaks HTTPS
# tls_key = "key.pem"
# public_url = "https://wharf.example.com"   # how clients reach it, for report downloads
# report_link_seconds = 86400       # how long the address of a report opens it; every listing gives a new one
# max_connections = 1024

[state]
# database_url = "postgres://user:password@host/wharf"   # instead of SQLite; or database_url_file, database_url_env
# master_key_file = "wharf-data/master.key"              # seals stored secrets; or set WHARF_MASTER_KEY (64 hex digits)

[limits]
# requests_per_second = 0           # for each account; 0 = no limit (the products allow 20)
# memory = "128MiB"                 # bytes in flight over all tasks
# bandwidth = "0"                   # bytes a second over all tasks; 0 = no limit
# running_tasks = 4
# flows_per_file_system = 10

[transfer]
# lanes = 0                         # threads that move data; 0 = two for each core, at most 8
# fsync = "batch"                   # "batch": durable before it counts; "each": every file by itself; "none"
# sweep_after_seconds = 604800      # what interrupted tasks left at their destinations goes after this; 0 = never

# A Kafka-compatible broker in this process: one machine, one copy. Without this section there is none.
[broker]
address = "127.0.0.1:9092"
# advertised = "wharf.example.com:9092"   # host and port that clients are told; needed with an address of zeros
# data_dir = "wharf-data/broker"
# fsync = "interval"                # acknowledged records survive kill -9 always; a power cut: "interval": all but the last
# fsync_interval_ms = 1000          #   second's; "each": all (slower); "none": what the kernel had written
# retention_hours = 168             # 0 = for ever; topics may set their own
# retention_bytes = "0"             # for each partition; 0 = no limit
# partitions = 1                    # of a topic that is made without a number
# auto_create_topics = true
# max_message = "1MiB"
# segment = "128MiB"
# upkeep_seconds = 300              # how often it looks for what can go: old segments, superseded records of compacted topics
# memory = "128MiB"                 # bytes of requests and answers at once
# max_connections = 1000
# tls_certificate = "cert.pem"      # the port then speaks TLS
# tls_key = "key.pem"
# accounts = false                  # true: log in (SASL PLAIN, SCRAM-SHA-256, SCRAM-SHA-512) with an account's key pair
# [[broker.user]]                   # further users; with any of these, or accounts = true, everybody has to log in
# name = "app"
# password = "…"                    # or password_file, password_env

# Pipelines of records (the CKafka door).
[streams]
# topics = "ckafka-7kd5rzza"        # cluster of serverless topics; default: the embedded broker
# lanes = 4                         # consumers of one pipeline at most
# dead_letters = "1GiB"             # kept for each pipeline before it stops

# The DIS door. Streams are topics of the cluster that [streams] names, else of the embedded broker.
[dis]
# product_limits = false            # true: a partition takes 1 MB or 1000 records a second, as the product sells it
# dli_catalogue = "lake"            # connection (kind iceberg) of DLI's tables; default: the server's own lakehouse
# dli_staging = false               # true: rows are staged in the task's bucket (the catalogue's store has to hold it)
# dli_evolve = false                # true: new fields become columns, and types grow
# agencies = ["dis_admin_agency"]   # that dump tasks may name; default: any
# dump_utc_offset = "+08:00"        # of directories and file names
# dump_interval_ms = 1000           # for tests: in place of what tasks ask for

[log]
# level = "info"                    # or "engine=debug,info"
# format = "text"                   # or "json"

# Who may call. The key pair is what the SDKs are given. operator = true may use the command line's door.
[[account]]
name = "first"
access_key_id = "{ACCESS_KEY_ID}"
access_key_secret = "{ACCESS_KEY_SECRET}"   # or access_key_secret_file, access_key_secret_env
app_id = "1250000000"
operator = true
# tokens = ["…"]                    # access tokens, 16 characters or more (Huawei's X-Auth-Token); or token_file, token_env
# project_id = "…"                  # the only project that its requests to Huawei's door may name

# A directory that is shown as a cloud file system. product: "cfs" (cfs-…), "cpfs" (cpfs-…), "cpfs-lingjun" (bmcpfs-…)
# [[filesystem]]
# id = "bmcpfs-290w65p03ok64ya"
# product = "cpfs-lingjun"
# root = "/srv/tree"
# version = "2.7.0"
# allow_destroy = false             # operations that destroy files in the product are refused unless this is true

# An S3-compatible store. `buckets`: which bucket names mean it; `hosts`: which vendor host names mean it.
# [[object_store]]
# id = "minio"
# url = "http://127.0.0.1:9000"
# region = "us-east-1"
# dialect = "s3"                    # "s3", "cos", "oss", "obs"
# path_style = true
# access_key_id = "…"
# access_key_secret = "…"
# buckets = ["*"]
# hosts = ["*.cos.ap-guangzhou.myqcloud.com"]
# ca_file = "ca.pem"

# A system that pipelines lead to or come from, by the id that requests name. password: or password_file, password_env.
[[connection]]
id = "ckafka-7kd5rzza"              # this one is the embedded broker
kind = "kafka"
embedded = true
# [[connection]]
# id = "ckafka-cluster1"
# kind = "kafka"
# bootstrap = "kafka1:9092,kafka2:9092"
# security = "sasl_tls"             # "plaintext", "tls", "sasl_plaintext", "sasl_tls"
# mechanism = "SCRAM-SHA-512"
# user = "app"
# password_file = "kafka.password"
# [[connection]]
# id = "resource-search01"
# kind = "elastic"                  # Elasticsearch or OpenSearch; "clickhouse" and "function" have a url too
# url = "http://127.0.0.1:9200"
# [[connection]]
# id = "resource-database"
# kind = "postgresql"               # "mysql", "mariadb"
# host = "127.0.0.1"
# user = "wharf"
# password_env = "DATABASE_PASSWORD"
# [[connection]]
# id = "archive"
# kind = "bucket"
# object_store = "minio"
# bucket = "events"
# format = "json"                  # "csv", "parquet"
# [[connection]]
# id = "lake"
# kind = "iceberg"                  # an Iceberg catalogue; without a uri the server's own, under data_dir/lakehouse
# uri = "postgres://app@db/catalog" # "sqlite:/path/catalog.db", "https://rest-catalogue/api"
# catalog_name = "wharf"
# warehouse = "s3://tables/warehouse"
# object_store = "minio"            # for s3:// paths
# password_env = "CATALOG_PASSWORD" # or the token of a REST catalogue
# interval_seconds = 60             # between snapshots, for tasks of the CKafka API

# Something whose traffic flow logs record. eni-…: a device; subnet-…: a bridge or devices; vpc-…: a set of subnets, or the whole namespace; nat-…: what the
# namespace translates; ccn-…, dcg-…: an exporter.
# [[network]]
# id = "eni-12345678"
# namespace = "blue"                # without it the server's own
# devices = ["eth0"]
# [[network]]
# id = "ccn-12345678"
# listen = "0.0.0.0:2055"           # NetFlow v5 and v9, IPFIX, sFlow v5
# exporters = ["192.0.2.1"]
# region = "ap-guangzhou"
# regions = ["ap-guangzhou=10.0.0.0/16", "ap-shanghai=10.1.0.0/16"]
"#;
