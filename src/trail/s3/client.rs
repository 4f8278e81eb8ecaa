use std::fmt;
use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::sts::AssumeRoleProvider;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_s3::Client;
use aws_sdk_s3::config::endpoint::{DefaultResolver, EndpointFuture, Params, ResolveEndpoint};
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::config::retry::{RetryPartition, TokenBucket};
use aws_sdk_s3::config::{
    RequestChecksumCalculation, ResponseChecksumValidation, SharedCredentialsProvider, SharedHttpClient, StalledStreamProtectionConfig,
};
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::list_objects_v2::builders::ListObjectsV2FluentBuilder;
use aws_sdk_s3::operation::list_objects_v2::{ListObjectsV2Error, ListObjectsV2Output};
use aws_sdk_s3::types::RequestPayer;
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use aws_smithy_http_client::{Builder, Connector};

use super::errors::Failure;
use crate::trail::S3Options;

/// How long nothing at all may come of an answer.
pub(super) const SILENCE: Duration = Duration::from_secs(30);

/// How long one request of a store may take: uploads count from their first byte.
const UPLOAD: Duration = Duration::from_secs(600);

/// Who asks, and how: the same for all buckets.
pub(super) struct Session {
    config: SdkConfig,
    payer: Option<RequestPayer>,
    profile: Option<String>,
}

impl Session {
    /// By the SDK's default chain, for reading sources.
    pub async fn reading(options: &S3Options) -> Session {
        let timeouts = TimeoutConfig::builder().connect_timeout(Duration::from_secs(5)).read_timeout(SILENCE).build();
        Session::open(options, timeouts).await
    }

    /// The same for a store, which is the user's own: no role, and nobody else pays.
    pub async fn storing(options: &S3Options) -> Session {
        let own = S3Options { role_arn: None, requester_pays: false, ..options.clone() };
        let timeouts = TimeoutConfig::builder().connect_timeout(Duration::from_secs(5)).read_timeout(UPLOAD).build();
        Session::open(&own, timeouts).await
    }

    async fn open(options: &S3Options, timeouts: TimeoutConfig) -> Session {
        let mut loader = aws_config::defaults(BehaviorVersion::v2026_01_12())
            .http_client(http_client())
            .timeout_config(timeouts)
            // Bodies are watched in `fetch`, which can also continue them.
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            // Compatible stores do not know S3's newer checksums.
            .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
            .response_checksum_validation(ResponseChecksumValidation::WhenRequired);
        // Who sets this variable knows better.
        if std::env::var_os("AWS_MAX_ATTEMPTS").is_none() {
            loader = loader.retry_config(RetryConfig::standard().with_max_attempts(8).with_initial_backoff(Duration::from_millis(500)));
        }
        if let Some(name) = &options.profile_name {
            loader = loader.profile_name(name);
        }
        let mut config = loader.load().await;
        if config.region().is_none() {
            config = config.into_builder().region(Region::from_static("us-east-1")).build();
        }
        if let Some(role) = &options.role_arn {
            let provider = AssumeRoleProvider::builder(role).session_name("packtrail").configure(&config).build().await;
            config = config.into_builder().credentials_provider(SharedCredentialsProvider::new(provider)).build();
        }
        Session { config, payer: options.requester_pays.then_some(RequestPayer::Requester), profile: options.profile_name.clone() }
    }

    fn client(&self, region: Option<String>) -> Client {
        let mut builder = aws_sdk_s3::config::Builder::from(&self.config).endpoint_resolver(Resolver(DefaultResolver::new()));
        // The budget of retries that the SDK shares among requests is spent in a second when a bucket says SlowDown to 32 of them.
        builder = builder.retry_partition(RetryPartition::custom("packtrail").token_bucket(TokenBucket::unlimited()).build());
        if let Some(region) = region {
            builder = builder.region(Region::new(region));
        }
        Client::from_conf(builder.build())
    }
}

fn http_client() -> SharedHttpClient {
    Builder::new().build_with_connector_fn(|settings, components| {
        let mut builder = Connector::builder().proxy_config(ProxyConfig::from_env()).tls_provider(Provider::Rustls(CryptoMode::Ring));
        builder.set_connector_settings(settings.cloned());
        builder.set_sleep_impl(components.and_then(|components| components.sleep_impl()));
        builder.build()
    })
}

/// Puts the bucket into the path where the endpoint is the user's own: such a host seldom answers to names below its own.
#[derive(Debug)]
struct Resolver(DefaultResolver);

impl ResolveEndpoint for Resolver {
    fn resolve_endpoint<'a>(&'a self, params: &'a Params) -> EndpointFuture<'a> {
        if params.endpoint().is_none() || params.force_path_style() == Some(true) {
            return self.0.resolve_endpoint(params);
        }
        let own = |text: Option<&str>| text.map(str::to_owned);
        let path_style = Params::builder()
            .set_bucket(own(params.bucket()))
            .set_region(own(params.region()))
            .set_endpoint(own(params.endpoint()))
            .set_key(own(params.key()))
            .set_prefix(own(params.prefix()))
            .force_path_style(true)
            .build();
        match path_style {
            Ok(params) => {
                // The answer of the default resolver does not refer to the parameters.
                let resolver = &self.0;
                EndpointFuture::new(async move { resolver.resolve_endpoint(&params).await })
            }
            Err(error) => EndpointFuture::ready(Err(error.into())),
        }
    }
}

/// One bucket, in its region.
pub(super) struct Bucket {
    pub client: Client,
    pub name: String,
    pub payer: Option<RequestPayer>,
}

impl fmt::Debug for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Bucket").field(&self.name).finish()
    }
}

impl Bucket {
    /// Finds the bucket's region, and the first key that starts with `prefix`.
    ///
    /// The bucket is there also where listing is denied; then the answer is the failure.
    pub async fn find(session: &Session, name: &str, prefix: &str) -> (Bucket, Result<ListObjectsV2Output, Failure>) {
        let mut bucket = Bucket { client: session.client(None), name: name.to_owned(), payer: session.payer.clone() };
        let mut redirects = 0;
        loop {
            let answer = bucket.list(prefix).max_keys(1).send().await;
            match answer.as_ref().err().and_then(region) {
                Some(region) if redirects < 2 => {
                    redirects += 1;
                    bucket.client = session.client(Some(region));
                }
                _ => {
                    let answer = answer.map_err(|error| Failure::of(&error, "s3:ListBucket"));
                    return (bucket, answer.map_err(|failure| failure.with_profile(session.profile.as_deref())));
                }
            }
        }
    }

    /// The start of a listing.
    pub fn list(&self, prefix: &str) -> ListObjectsV2FluentBuilder {
        self.client.list_objects_v2().bucket(&self.name).prefix(prefix).set_request_payer(self.payer.clone())
    }

    /// The location of a key or prefix as users write it.
    pub fn location(&self, key: &str) -> String {
        format!("s3://{}/{key}", self.name)
    }
}

/// Where the bucket lies, if the answer says that it was asked in the wrong region.
fn region(error: &SdkError<ListObjectsV2Error, HttpResponse>) -> Option<String> {
    let response = error.raw_response()?;
    let redirect = matches!(response.status().as_u16(), 301 | 307)
        || matches!(
            error.code(),
            Some("PermanentRedirect" | "TemporaryRedirect" | "AuthorizationHeaderMalformed" | "IllegalLocationConstraintException")
        );
    if !redirect {
        return None;
    }
    let header = response.headers().get("x-amz-bucket-region").map(str::to_owned);
    header.or_else(|| {
        let body = std::str::from_utf8(response.body().bytes()?).ok()?;
        let (_, rest) = body.split_once("<Region>")?;
        rest.split_once("</Region>").map(|(region, _)| region.to_owned())
    })
}
