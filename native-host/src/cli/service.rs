//! `broker --service`: the broker as a service of Windows. The service manager starts it, tells it to stop, and is told how it goes; the
//! log is `broker.log` in the state folder, since a service has no standard error.

use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use anyhow::Context as _;
use tokio::sync::watch;
use windows_service::service::{
    ServiceControl, ServiceControlAccept, ServiceExitCode, ServiceState, ServiceStatus, ServiceType,
};
use windows_service::service_control_handler::{self, ServiceControlHandlerResult, ServiceStatusHandle};
use windows_service::{define_windows_service, service_dispatcher};

use crate::broker::{self, Role, Serving};
use crate::logging;
use crate::places::{CONFIG_VARIABLE, Places, SOCKET_VARIABLE, STATE_VARIABLE, Surroundings, system_socket};
use crate::platform::{Here, Platform};

/// What the service is called.
const NAME: &str = "ticketgate";
/// How long a start or a stop may take until the service manager thinks that it hangs: requests under way are answered first.
const PATIENCE: Duration = Duration::from_secs(60);
/// The log is started anew above this size; the one before is kept beside it.
const LOG_MAX: u64 = 16 * 1024 * 1024;

/// What the process was started with. Windows calls back on another thread, with nothing of it.
static STARTED_WITH: OnceLock<(Places, bool)> = OnceLock::new();

define_windows_service!(entry, begin);

/// Hands the process over to the service manager until the service stops.
pub(super) fn run(around: &Surroundings, for_everyone: bool) -> anyhow::Result<ExitCode> {
    let _ = STARTED_WITH.set((places(around), for_everyone));
    service_dispatcher::start(NAME, entry).context(
        "only the service manager starts it so: sc.exe start ticketgate; else leave out --service",
    )?;
    Ok(ExitCode::SUCCESS)
}

/// The machine's, unless others were named.
fn places(around: &Surroundings) -> Places {
    let or = |name, custom: PathBuf| around.variable(name).map_or(custom, PathBuf::from);
    Places {
        config: or(CONFIG_VARIABLE, around.system_config().join("ticketgate.toml")),
        state: or(STATE_VARIABLE, around.system_state()),
        socket: or(SOCKET_VARIABLE, system_socket(around)),
    }
}

/// Called by Windows.
fn begin(_: Vec<OsString>) {
    let Some((places, for_everyone)) = STARTED_WITH.get() else { return };
    // Without a log it serves all the same.
    let _ = begin_log(places);
    let (stop, told) = watch::channel(false);
    let heard = move |control| match control {
        ServiceControl::Stop | ServiceControl::Shutdown => {
            stop.send_replace(true);
            ServiceControlHandlerResult::NoError
        }
        ServiceControl::Interrogate => ServiceControlHandlerResult::NoError,
        _ => ServiceControlHandlerResult::NotImplemented,
    };
    let manager = match service_control_handler::register(NAME, heard) {
        Ok(manager) => manager,
        Err(error) => return tracing::error!(%error, "the service manager does not listen"),
    };
    tell(manager, ServiceState::StartPending, 0);
    let ended = serve(manager, places, *for_everyone, told);
    if let Err(error) = &ended {
        tracing::error!("{error:#}");
    }
    tell(manager, ServiceState::Stopped, u32::from(ended.is_err()));
}

fn serve(
    manager: ServiceStatusHandle,
    places: &Places,
    for_everyone: bool,
    mut told: watch::Receiver<bool>,
) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().worker_threads(2).build()?;
    runtime.block_on(async {
        let started = broker::start(places, Role::Serve).await?;
        let serving = Serving { socket: &places.socket, on_demand: false, for_everyone };
        let stop = async move {
            tell(manager, ServiceState::Running, 0);
            let _ = told.wait_for(|stop| *stop).await;
            tell(manager, ServiceState::StopPending, 0);
        };
        Ok(started.serve(serving, stop).await?)
    })
}

/// Says how it goes. A service manager that does not hear it does what it does without.
fn tell(manager: ServiceStatusHandle, state: ServiceState, exit_code: u32) {
    let controls_accepted = match state {
        ServiceState::Running => ServiceControlAccept::STOP | ServiceControlAccept::SHUTDOWN,
        _ => ServiceControlAccept::empty(),
    };
    let wait_hint = match state {
        ServiceState::StartPending | ServiceState::StopPending => PATIENCE,
        _ => Duration::ZERO,
    };
    let status = ServiceStatus {
        service_type: ServiceType::OWN_PROCESS,
        current_state: state,
        controls_accepted,
        exit_code: ServiceExitCode::Win32(exit_code),
        checkpoint: 0,
        wait_hint,
        process_id: None,
    };
    if let Err(error) = manager.set_service_status(status) {
        tracing::warn!(%error, ?state, "the service manager was not told");
    }
}

fn begin_log(places: &Places) -> std::io::Result<()> {
    Here::make_private_folder(&places.state)?;
    let path = places.state.join("broker.log");
    if fs::metadata(&path).is_ok_and(|meta| meta.len() > LOG_MAX) {
        fs::rename(&path, path.with_extension("log.1"))?;
    }
    logging::to("info", Mutex::new(OpenOptions::new().create(true).append(true).open(path)?));
    Ok(())
}
