//! Pure: what a cloud told cloud-init of this machine.
//!
//! `v1` has the same keys everywhere; size, image and addresses are only in what each cloud says
//! itself (`ds.meta_data`), and what it does not say is absent: Google's machine type, for one.
//! <https://docs.cloud-init.io/en/latest/explanation/instancedata.html>

use serde_json::Value;
use station_proto::node::Cloud;

/// Addresses of one kind; more are left out.
const ADDRESSES: usize = 32;
/// The longest value that is believed.
const LONGEST: usize = 512;

/// `None` if the text is no instance data.
pub(super) fn of(text: &str) -> Option<Cloud> {
    let data: Value = serde_json::from_str(text).ok()?;
    let first = |paths: &[&str]| paths.iter().find_map(|path| word(data.pointer(path)?));
    let cloud = Cloud {
        name: first(&["/v1/cloud_name", "/v1/cloud-name"]),
        platform: first(&["/v1/platform"]),
        region: first(&["/v1/region", "/ds/meta_data/imds/compute/location"]),
        availability_zone: first(zones(&data)),
        instance_id: first(&["/v1/instance_id", "/v1/instance-id"]),
        instance_type: first(&[
            "/ds/meta_data/imds/compute/vmSize",
            "/ds/meta_data/instance-type",
            "/ds/meta_data/instance_type",
            "/ds/meta_data/instance/instance-type",
        ]),
        image_id: first(&[
            "/ds/meta_data/ami-id",
            "/ds/meta_data/image-id",
            "/ds/meta_data/imds/compute/storageProfile/imageReference/id",
        ])
        .or_else(|| azure_image(&data)),
        local_hostname: first(&["/v1/local_hostname", "/v1/local-hostname"]),
        public_hostname: first(&["/ds/meta_data/public-hostname"]),
        private_addresses: addresses(&data, &["local-ipv4"], "privateIpAddress"),
        public_addresses: addresses(&data, &["public-ipv4", "public_ipv4"], "publicIpAddress"),
    };
    (cloud != Cloud::default()).then_some(cloud)
}

/// Of Azure, `v1` has the fault domain there, which is no zone.
fn zones(data: &Value) -> &'static [&'static str] {
    if data.pointer("/ds/meta_data/imds/compute").is_some() {
        &["/ds/meta_data/imds/compute/zone"]
    } else {
        &["/v1/availability_zone", "/v1/availability-zone"]
    }
}

/// A string or a number that says something.
fn word(value: &Value) -> Option<String> {
    let text = match value {
        Value::String(text) => text.trim().to_owned(),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    let says = !text.is_empty()
        && text.len() <= LONGEST
        && !text.starts_with("redacted for")
        && !["unknown", "None", "null", "n/a"].contains(&text.as_str());
    says.then_some(text)
}

/// An image of Azure's market: publisher, offer, SKU and version.
fn azure_image(data: &Value) -> Option<String> {
    let compute = data.pointer("/ds/meta_data/imds/compute")?;
    let reference = compute.pointer("/storageProfile/imageReference").unwrap_or(compute);
    let part = |key: &str| word(reference.get(key)?);
    let parts = [part("publisher")?, part("offer")?, part("sku")?, part("version")?];
    Some(parts.join(":"))
}

/// Those under one of Amazon's keys, and of Azure's interfaces.
fn addresses(data: &Value, keys: &[&str], azure: &str) -> Vec<String> {
    let plain = keys.iter().filter_map(|key| data.pointer(&format!("/ds/meta_data/{key}")));
    let interfaces = data.pointer("/ds/meta_data/imds/network/interface").and_then(Value::as_array);
    let of_azure = interfaces
        .into_iter()
        .flatten()
        .flat_map(|interface| {
            ["/ipv4/ipAddress", "/ipv6/ipAddress"].map(|at| interface.pointer(at))
        })
        .flatten()
        .filter_map(Value::as_array)
        .flatten()
        .filter_map(|address| address.get(azure));
    let mut found: Vec<String> = plain
        .chain(of_azure)
        .filter_map(word)
        .filter(|text| text.parse::<std::net::IpAddr>().is_ok())
        .collect();
    found.dedup();
    found.truncate(ADDRESSES);
    found
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn azure_says_size_image_and_addresses() {
        let data = json!({
            "v1": {
                "cloud_name": "azure", "platform": "azure", "region": "westeurope",
                "availability_zone": "0", "instance_id": "3f0c8a4e-0000-4000-8000-1c697a000001",
                "local_hostname": "gpu-1", "subplatform": "seed-dir (/var/lib/waagent)"
            },
            "ds": { "meta_data": { "imds": {
                "compute": {
                    "location": "westeurope", "vmSize": "Standard_NC24ads_A100_v4", "zone": "2",
                    "storageProfile": { "imageReference": {
                        "id": "", "publisher": "Canonical", "offer": "ubuntu-24_04-lts",
                        "sku": "server", "version": "latest"
                    } }
                },
                "network": { "interface": [ {
                    "ipv4": { "ipAddress": [
                        { "privateIpAddress": "10.0.0.4", "publicIpAddress": "203.0.113.7" }
                    ] },
                    "ipv6": { "ipAddress": [] }, "macAddress": "000D3A000001"
                } ] }
            } } }
        });
        let cloud = of(&data.to_string()).unwrap();
        assert_eq!(cloud.name.as_deref(), Some("azure"));
        assert_eq!(cloud.instance_type.as_deref(), Some("Standard_NC24ads_A100_v4"));
        assert_eq!(cloud.image_id.as_deref(), Some("Canonical:ubuntu-24_04-lts:server:latest"));
        assert_eq!(cloud.availability_zone.as_deref(), Some("2"), "not the fault domain");
        assert_eq!(cloud.private_addresses, ["10.0.0.4"]);
        assert_eq!(cloud.public_addresses, ["203.0.113.7"]);
    }

    #[test]
    fn amazon_and_google_say_what_they_say() {
        let amazon = json!({
            "v1": {
                "cloud-name": "aws", "cloud_name": "aws", "platform": "ec2",
                "region": "us-east-2", "availability_zone": "us-east-2b",
                "instance_id": "i-06b5687b4d7b8595d", "local_hostname": "ip-10-41-41-95"
            },
            "ds": { "meta_data": {
                "ami-id": "ami-0000000000000001", "instance-type": "p4d.24xlarge",
                "local-ipv4": "10.41.41.95", "public-ipv4": "198.51.100.9",
                "public-hostname": "ec2-198-51-100-9.us-east-2.compute.amazonaws.com",
                "iam": "redacted for non-root user"
            } }
        });
        let cloud = of(&amazon.to_string()).unwrap();
        assert_eq!(cloud.platform.as_deref(), Some("ec2"));
        assert_eq!(cloud.instance_type.as_deref(), Some("p4d.24xlarge"));
        assert_eq!(cloud.image_id.as_deref(), Some("ami-0000000000000001"));
        assert_eq!(cloud.private_addresses, ["10.41.41.95"]);
        assert!(cloud.public_hostname.is_some_and(|name| name.starts_with("ec2-")));

        let google = json!({
            "v1": {
                "cloud_name": "gce", "region": "europe-west4", "instance_id": 4_242_424_242_u64,
                "availability_zone": "europe-west4-a", "local_hostname": "gpu-1", "platform": "gce"
            },
            "ds": { "meta_data": { "instance-id": "4242424242", "availability-zone": "europe-west4-a" } }
        });
        let cloud = of(&google.to_string()).unwrap();
        assert_eq!(cloud.instance_id.as_deref(), Some("4242424242"));
        // cloud-init does not ask for it.
        assert_eq!(cloud.instance_type, None);
    }

    #[test]
    fn what_is_held_back_or_broken_is_absent() {
        let held = json!({ "v1": { "cloud_name": "unknown", "region": "redacted for non-root user",
            "instance_id": "", "platform": ["x"] }, "ds": { "meta_data": { "local-ipv4": "no" } } });
        let long = json!({ "v1": { "region": "x".repeat(600) } });
        for text in [held.to_string(), long.to_string(), String::new(), "[]".into(), "{\"v1".into()]
        {
            assert_eq!(of(&text), None, "{text}");
        }
        let none = json!({ "v1": { "cloud_name": "nocloud", "platform": "lxd" } });
        assert_eq!(of(&none.to_string()).unwrap().name.as_deref(), Some("nocloud"));
    }
}
