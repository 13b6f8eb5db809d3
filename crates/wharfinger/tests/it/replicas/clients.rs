//! Real clients, whose every request goes to another replica.

use peers::{Image, crane};

use super::world::{OPEN, Replicas};

#[test]
fn crane_pushes_and_pulls_over_three_replicas() {
    let replicas = Replicas::start(3, "", OPEN);
    let nginx = replicas.balancer();
    let crane = crane();
    for number in 0..6 {
        let image = Image::saying(&format!("over replicas {number}"));
        let layout = image.layout().display().to_string();
        let reference = format!("{}/team/app:{number}", nginx.host_port());
        let pushed = crane.run(&["push", "--insecure", &layout, &reference]);
        assert!(pushed.status.success(), "{pushed}\n{}", replicas.logs());
        let digest = crane.run(&["digest", "--insecure", &reference]);
        assert_eq!(digest.succeeded().trim(), image.digest());
        let pulled = crane.home().join("pulled.tar").display().to_string();
        crane
            .run(&["pull", "--insecure", &reference, &pulled])
            .succeeded();
    }
    replicas.command(&["registry", "verify"]).succeeded();
}
