//! The verbs. Each opens what its request names, calls the other crates, and reports.

mod bench;
mod convert;
mod daemon;
mod doctor;
mod estimate;
mod index;
mod inspect;
mod lazy;
mod mirror;
mod mount;
mod publish;
mod pull;
mod serve;
mod setup;
mod storage_helper;
mod store;
mod unpack;
mod verify;

use std::process::ExitCode;

pub(crate) use index::NotIndexed;
pub(crate) use inspect::layer::NoToc;
pub(crate) use store::repaired;

use crate::request::Request;

/// Does what was asked, and returns how it ended.
pub(crate) fn run(request: Request) -> anyhow::Result<ExitCode> {
    match request {
        Request::ConvertLayer(request) => convert::one_layer(&request),
        Request::ConvertImage(request) => convert::whole_image(&request),
        Request::InspectLayer(layer, view) => inspect::layer::run(&layer, view),
        Request::InspectImage(image, view) => inspect::image::run(&image, view),
        Request::VerifyLayer(layer, diff_id, form) => verify::layer::run(&layer, diff_id, form),
        Request::VerifyImage(image, form) => verify::image::run(&image, form),
        Request::Mirror(request) => mirror::run(&request),
        Request::MirrorVerify(request) => mirror::verify(&request),
        Request::Pull(request) => pull::run(&request),
        Request::Estimate(request) => estimate::run(&request),
        Request::Unpack(args) => unpack::run(&args),
        Request::Mount(args) => mount::mount(&args),
        Request::Umount(args) => mount::umount(&args),
        Request::Mounts(args) => mount::mounts(&args),
        Request::Restore(args) => mount::restore(&args),
        Request::Wait(args) => lazy::wait(&args),
        Request::Detach(args) => lazy::detach(&args),
        Request::Record(args) => lazy::record(&args),
        Request::Daemon(args) => daemon::run(&args),
        Request::DoctorRegistry(request) => doctor::registry(&request),
        Request::DoctorEngines(args) => doctor::engines::run(&args),
        Request::BenchPull(request) => bench::pull(&request),
        Request::BenchRegistry(request) => bench::registry(&request),
        Request::BenchConvert(request) => bench::convert(&request),
        Request::Serve(args) => serve::run(&args),
        Request::Images(args) => store::images(&args),
        Request::Rm(args) => store::rm(&args),
        Request::Gc(args) => store::gc(&args),
        Request::Fsck(args) => store::fsck(&args),
        Request::Du(args) => store::du(&args),
        Request::Sync(args) => store::sync(&args),
        Request::Index(args) => index::run(&args),
        Request::StorageHelper(args) => Ok(storage_helper::run(&args)),
        Request::Publish(request) => publish::run(&request),
        Request::Setup(args) => setup::run(&args),
    }
}
