//! What finding records adds to inflating them: `cargo bench --bench records`.
//!
//! A log file of about 3.4 MB of JSON, 6 % of its records calls to STS, in memory: inflated alone, and
//! read by `record::Reader` with a sink that does next to nothing.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::fmt::Write as _;
use std::hint::black_box;
use std::time::{Duration, Instant};

use packtrail::record::{Limits, Reader};

const TEXT_BYTES: usize = 3_400_000;
const ROUNDS: usize = 41;

fn main() {
    let text = log();
    let file = gzip(&text);
    println!("text {} bytes, gzip {} bytes, ratio {:.1}", text.len(), file.len(), text.len() as f64 / file.len() as f64);

    let mut output = vec![0; text.len()];
    let mut libdeflate = libdeflater::Decompressor::new();
    let inflating = median(|| libdeflate.gzip_decompress(&file, &mut output).unwrap());
    report("inflate alone, libdeflate", inflating, text.len(), inflating);

    let limits = Limits::for_threads(1);
    let mut reader = Reader::new(limits);
    let reading = median(|| found(&mut reader, &file));
    report("Reader, gzip in one go", reading, text.len(), inflating);

    let plain = median(|| found(&mut reader, text.as_bytes()));
    report("Reader, plain text", plain, text.len(), inflating);

    let mut reader = Reader::new(Limits { whole_bytes: 0, ..limits });
    let streaming = median(|| found(&mut reader, &file));
    report("Reader, gzip piece by piece", streaming, text.len(), inflating);

    println!("finding adds {:.1} % to inflating in one go", 100.0 * (reading.as_secs_f64() / inflating.as_secs_f64() - 1.0));
}

fn found(reader: &mut Reader, file: &[u8]) -> usize {
    let mut bytes = 0;
    let outcome = reader.read_from(&mut &*file, Some(file.len() as u64), &mut |found| bytes += found.json.len());
    assert!(outcome.damage.is_none());
    bytes
}

fn report(what: &str, time: Duration, bytes: usize, base: Duration) {
    let seconds = time.as_secs_f64();
    println!("{what:<30} {:>8.3} ms {:>8.0} MB/s {:>6.2} x", seconds * 1e3, bytes as f64 / seconds / 1e6, seconds / base.as_secs_f64());
}

fn median<T>(mut work: impl FnMut() -> T) -> Duration {
    let mut times: Vec<Duration> = (0..ROUNDS)
        .map(|_| {
            let start = Instant::now();
            black_box(work());
            start.elapsed()
        })
        .collect();
    times.sort();
    times[ROUNDS / 2]
}

fn gzip(text: &str) -> Vec<u8> {
    let mut compressor = libdeflater::Compressor::new(libdeflater::CompressionLvl::new(6).unwrap());
    let mut file = vec![0; compressor.gzip_compress_bound(text.len())];
    let bytes = compressor.gzip_compress(text.as_bytes(), &mut file).unwrap();
    file.truncate(bytes);
    file
}

/// Numbers that differ from one to the next and are the same in every run.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn hex(&mut self) -> String {
        format!("{:016x}", self.next())
    }

    fn uuid(&mut self) -> String {
        let (a, b) = (self.hex(), self.hex());
        format!("{}-{}-{}-{}-{}", &a[..8], &a[8..12], &a[12..], &b[..4], &b[4..])
    }
}

fn log() -> String {
    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
    let mut text = String::from("{\"Records\":[");
    while text.len() < TEXT_BYTES {
        if !text.ends_with('[') {
            text.push(',');
        }
        let second = numbers.next() % 60;
        let (session, key, event, request) = (numbers.hex(), numbers.hex(), numbers.uuid(), numbers.uuid());
        write!(
            text,
            r#"{{"eventVersion":"1.08","userIdentity":{{"type":"AssumedRole","principalId":"AROA{}:{session}","arn":"arn:aws:sts::111122223333:assumed-role/deploy-{}/{session}","accountId":"111122223333","accessKeyId":"ASIA{}","sessionContext":{{"sessionIssuer":{{"type":"Role","principalId":"AROA{}","arn":"arn:aws:iam::111122223333:role/deploy-{}","accountId":"111122223333","userName":"deploy"}},"webIdFederationData":{{}},"attributes":{{"creationDate":"2026-09-20T10:{second:02}:00Z","mfaAuthenticated":"false"}}}}}},"eventTime":"2026-09-20T11:{second:02}:{second:02}Z","#,
            &key[..12].to_uppercase(),
            numbers.next() % 9,
            &numbers.hex().to_uppercase(),
            &key[..12].to_uppercase(),
            numbers.next() % 9,
        )
        .unwrap();
        let kind = numbers.next() % 100;
        if kind < 6 {
            let mut token = String::new();
            while token.len() < 900 {
                token.push_str(&numbers.hex());
            }
            write!(
                text,
                r#""eventSource":"sts.amazonaws.com","eventName":"AssumeRole","awsRegion":"eu-central-1","sourceIPAddress":"192.0.2.{second}","userAgent":"aws-sdk-go-v2/1.30.3","requestParameters":{{"roleArn":"arn:aws:iam::444455556666:role/reader","roleSessionName":"{session}","durationSeconds":3600,"policy":"{{\"Version\":\"2012-10-17\",\"Statement\":[{{\"Effect\":\"Allow\",\"Action\":[\"s3:GetObject\",\"s3:ListBucket\"],\"Resource\":[\"arn:aws:s3:::data-{session}\",\"arn:aws:s3:::data-{session}/*\"]}}]}}"}},"responseElements":{{"credentials":{{"accessKeyId":"ASIA{}","sessionToken":"{token}","expiration":"Sep 20, 2026, 12:00:00 PM"}},"assumedRoleUser":{{"assumedRoleId":"AROA{}:{session}","arn":"arn:aws:sts::444455556666:assumed-role/reader/{session}"}},"packedPolicySize":41}},"#,
                numbers.hex().to_uppercase(),
                numbers.hex().to_uppercase(),
            )
            .unwrap();
        } else if kind < 40 {
            write!(
                text,
                r#""eventSource":"kms.amazonaws.com","eventName":"Decrypt","awsRegion":"eu-central-1","sourceIPAddress":"192.0.2.{second}","userAgent":"aws-sdk-java/2.20.1 Linux/5.10 Java/17.0.8","requestParameters":{{"encryptionContext":{{"aws:s3:arn":"arn:aws:s3:::data/{session}"}},"encryptionAlgorithm":"SYMMETRIC_DEFAULT"}},"responseElements":null,"resources":[{{"accountId":"111122223333","type":"AWS::KMS::Key","ARN":"arn:aws:kms:eu-central-1:111122223333:key/{}"}}],"#,
                numbers.uuid()
            )
            .unwrap();
        } else {
            write!(
                text,
                r#""eventSource":"s3.amazonaws.com","eventName":"GetObject","awsRegion":"eu-central-1","sourceIPAddress":"192.0.2.{second}","userAgent":"[aws-cli/2.15.0 Python/3.11.6 Linux/5.10]","requestParameters":{{"bucketName":"data","Host":"data.s3.eu-central-1.amazonaws.com","key":"year\u003d2026/part-{session}.parquet"}},"responseElements":null,"additionalEventData":{{"SignatureVersion":"SigV4","CipherSuite":"ECDHE-RSA-AES128-GCM-SHA256","bytesTransferredIn":0,"AuthenticationMethod":"AuthHeader","x-amz-id-2":"{}{}=","bytesTransferredOut":{}}},"resources":[{{"type":"AWS::S3::Object","ARN":"arn:aws:s3:::data/part-{session}.parquet"}},{{"accountId":"111122223333","type":"AWS::S3::Bucket","ARN":"arn:aws:s3:::data"}}],"#,
                numbers.hex(),
                numbers.hex(),
                numbers.next() % 100_000
            )
            .unwrap();
        }
        write!(
            text,
            r#""requestID":"{request}","eventID":"{event}","readOnly":true,"eventType":"AwsApiCall","managementEvent":true,"recipientAccountId":"111122223333","eventCategory":"Management","tlsDetails":{{"tlsVersion":"TLSv1.3","cipherSuite":"TLS_AES_128_GCM_SHA256","clientProvidedHostHeader":"data.s3.eu-central-1.amazonaws.com"}}}}"#
        )
        .unwrap();
    }
    text.push_str("]}");
    text
}
