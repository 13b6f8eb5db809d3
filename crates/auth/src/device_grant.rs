//! The grant of a device code (RFC 8628 §3.4): from an approved code to a session.

use common::Secret;
use identity::{
    EarlierLogin, Identity, LoginTerms, SessionAllowance, SessionStatus, SourceAddress,
};
use policy::Subject;

use crate::accounts::{AccountResolver, Grantee, ProvedBy};
use crate::audit::DecisionRecord;
use crate::device::{ApprovedDeviceLogin, DeviceLoginError, PollError};
use crate::error::TokenRequestError;
use crate::response::ErrorResponse;

impl AccountResolver {
    /// The account that approved the login of a device. The account is checked again, because it may
    /// have been disabled since. The code is not used up yet.
    pub(crate) async fn redeem_device_code(
        &self,
        code: &Secret,
        client_id: &str,
        service: &str,
        address: SourceAddress,
        record: &mut DecisionRecord<'_>,
    ) -> Result<Grantee, TokenRequestError> {
        record.grant = "device_code";
        let logins = self
            .device_logins
            .as_ref()
            .ok_or(ErrorResponse::NoDeviceLogins)?;
        let now = self.clock.now();
        let login = match logins.poll(code, client_id, service, now).await? {
            Ok(login) => login,
            Err(error) => return Err(ErrorResponse::from(error).into()),
        };
        record.account.clone_from(&login.approver.account);
        record.backend = login.approver.backend.clone().into();
        let identity = self.recheck_approver(&login, address).await?;
        Ok(Grantee {
            identity,
            proved_by: ProvedBy::DeviceCode(Box::new(login)),
        })
    }

    /// The account as it is now, for a session as a login of this moment would open.
    async fn recheck_approver(
        &self,
        login: &ApprovedDeviceLogin,
        address: SourceAddress,
    ) -> Result<Identity, TokenRequestError> {
        let approver = &login.approver;
        let earlier = EarlierLogin {
            account: &approver.account,
            credential: approver.credential.as_ref(),
            backend: Some(&approver.backend),
        };
        let session = SessionAllowance::Allowed(approver.session);
        if let Some(token) = self.login.recheck_token(&earlier, address).await? {
            let identity = token.map_err(ErrorResponse::OpaqueToken)?;
            let terms = LoginTerms {
                session,
                ..identity.terms
            };
            return Ok(Identity { terms, ..identity });
        }
        let before = || Subject {
            account: approver.account.clone(),
            labels: approver.labels.clone(),
        };
        let mut terms = LoginTerms {
            session,
            ..LoginTerms::default()
        };
        let subject = match self.login.recheck(&earlier).await? {
            SessionStatus::Valid(subject) => subject,
            SessionStatus::Unchanged { token_lifetime } => {
                terms.token_lifetime = token_lifetime;
                before()
            }
            // The backend accepted the password a few minutes ago, and can say no more.
            SessionStatus::Unknown => before(),
            SessionStatus::Ended => return Err(ErrorResponse::from(PollError::AccountGone).into()),
        };
        Ok(Identity {
            credential: approver.credential,
            ceiling: approver.ceiling.clone(),
            terms,
            ..Identity::new(subject)
        })
    }

    /// Uses up an approved code, and gives the refresh token of its session. Of two polls at once,
    /// one succeeds. If the session cannot be opened, the device has to begin again.
    pub(crate) async fn open_device_session(
        &self,
        identity: &Identity,
        login: &ApprovedDeviceLogin,
        record: &mut DecisionRecord<'_>,
    ) -> Result<String, TokenRequestError> {
        let Some(logins) = &self.device_logins else {
            return Err(ErrorResponse::NoDeviceLogins.into());
        };
        if !logins.take(login, self.clock.now()).await? {
            return Err(ErrorResponse::from(PollError::DeviceCode).into());
        }
        let (backend, device) = (&login.approver.backend, &login.device);
        self.open_session(
            identity,
            backend,
            &device.service,
            &device.client_id,
            record,
        )
        .await
        .ok_or_else(|| DeviceLoginError::NoSession.into())
    }
}
