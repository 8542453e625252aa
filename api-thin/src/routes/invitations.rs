//! Invitations to a tenant: make, list, show, withdraw, accept.

use axum::Json as JsonAnswer;
use axum::extract::{Path, State};
use axum::response::NoContent;
use chrono::{DateTime, SubsecRound as _, TimeDelta, Utc};
use jobs::plan::Quota;
use jobs::tenant::{Actor, Identity, Permission, Role, Subject, TenantId};
use schemars::JsonSchema;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use stores::model::{Invitation, InvitationAccepted, Invited, Invitee, Member, UserName};
use uuid::Uuid;

use super::members::{MemberView, add, exists, location, member_called, role};
use super::parameters::{Paging, invalid_field, page_after, page_limit};
use crate::answer::{Created, Secret, Versioned};
use crate::auth::InvitationToken;
use crate::connections::ClientAddress;
use crate::problem::{Code, Problem};
use crate::request::{AddMembers, Json, ManageMembers, Person, Query, TenantCaller, one_name};
use crate::state::ApiState;

/// For how long an invitation is open, in seconds: by default, at least, and at most.
const USUAL_S: u32 = 7 * 24 * 60 * 60;
const SHORTEST_S: u32 = 60;
const LONGEST_S: u32 = 30 * 24 * 60 * 60;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewInvitation {
    /// Whom it is meant for: a note for people, which decides nothing. There is one open invitation for a subject.
    #[schemars(with = "Option<Subject>")]
    subject: Option<String>,
    /// In place of `subject`: the name of the person who is to be a member. The operator adds them at once.
    #[schemars(with = "Option<String>")]
    user_id: Option<String>,
    /// The role that the person gets, in any case; `owner` is `ADMIN` and `member` is `EDITOR`.
    #[schemars(with = "Role")]
    role: String,
    /// For how many seconds it is open: 60 to 2592000, 604800 (a week) by default.
    #[schemars(range(min = 60, max = 2_592_000))]
    expires_in_s: Option<u32>,
}

/// `POST …/members`: an invitation. Only the person who accepts it becomes a member, unless the operator, who vouches
/// for people, adds a `user_id`.
pub(super) async fn invite(
    State(app): State<ApiState>,
    who: TenantCaller<AddMembers>,
    Json(new): Json<NewInvitation>,
) -> Result<Secret<Created<Added>>, Problem> {
    if who.is_operator
        && new.subject.is_none()
        && let Some(user_id) = &new.user_id
    {
        if new.expires_in_s.is_some() {
            let problem =
                "the operator adds a user_id at once: send subject for an invitation, which expires";
            return Err(invalid_field("expires_in_s", problem.to_owned()));
        }
        let role = role(&new.role)?;
        let member = add(&app, &who, user_id, role).await?;
        let location = location(who.tenant(), &member.identity);
        let thing = Versioned { revision: member.revision, body: Added::Member(member) };
        return Ok(Secret(Created { location, thing }));
    }
    let subject = invited(&who, &new).await?;
    make_invitation(&app, &who, subject, &new).await
}

/// Whom an invitation is for.
async fn invited(who: &TenantCaller<AddMembers>, new: &NewInvitation) -> Result<Subject, Problem> {
    let names = [new.subject.as_deref(), new.user_id.as_deref()];
    let both = one_name(names.into_iter().flatten());
    let named =
        both.map_err(|_| invalid_field("user_id", "expected the same as subject, or none".to_owned()))?;
    let named =
        named.ok_or_else(|| invalid_field("subject", "`subject` is missing, or `user_id`".to_owned()))?;
    let (field, mut name) = ("subject", named.to_owned());
    let field = if let Some(user_id) = &new.user_id {
        if member_called(&who.stores.catalog(), user_id).await?.is_some() {
            return Err(exists());
        }
        name = user_id.parse().map_or(name, |identity: Identity| identity.subject().to_owned());
        if new.subject.is_some() { field } else { "user_id" }
    } else {
        field
    };
    let subject = name.to_ascii_lowercase().parse::<Subject>();
    subject.map_err(|error| invalid_field(field, error.to_string()))
}

async fn make_invitation(
    app: &ApiState,
    who: &TenantCaller<AddMembers>,
    subject: Subject,
    new: &NewInvitation,
) -> Result<Secret<Created<Added>>, Problem> {
    let role = role(&new.role)?;
    let expires_in_s = new.expires_in_s.unwrap_or(USUAL_S);
    if !(SHORTEST_S..=LONGEST_S).contains(&expires_in_s) {
        let problem = format!("{expires_in_s} s is not from {SHORTEST_S} to {LONGEST_S}");
        return Err(invalid_field("expires_in_s", problem));
    }
    // The operator may give what an ADMIN may, though their own permissions are others.
    if *who.context.actor() != Actor::Operator {
        who.may_give(role.permissions())?;
    }
    let (now, token) = (app.clock().now().trunc_subsecs(6), InvitationToken::fresh(who.tenant()));
    let invitation = Invitation {
        id: token.id,
        subject,
        role,
        created_by: who.context.actor().to_string(),
        created_at: now,
        expires_at: now + TimeDelta::seconds(expires_in_s.into()),
    };
    let maximum = who.limits(app).await?.maximum(Quota::Members);
    let catalog = who.stores.catalog();
    match catalog.invitation_insert(&invitation, &token.stored().sha256, maximum, now).await? {
        Invited::New => {}
        Invited::Known => {
            let detail = "an invitation for this subject is open: withdraw it, or let them accept it";
            return Err(Problem::new(Code::InvitationExists, detail).field("subject"));
        }
        Invited::OverQuota(over) => return Err(Problem::over_quota(&over, now)),
        Invited::TooMany => {
            let detail = format!("{} invitations are open: withdraw some first", Invitation::MOST);
            return Err(Problem::new(Code::InvitationsLimitReached, detail));
        }
    }
    let location = format!("/api/v1/tenants/{}/invitations/{}", who.tenant(), token.id);
    let Versioned { revision, body } = shown(invitation);
    let body = Added::Invitation(NewInvitationView { of: body, invitation: token.reveal() });
    Ok(Secret(Created { location, thing: Versioned { revision, body } }))
}

/// `GET …/invitations`: a page of the open ones, the oldest first.
pub(super) async fn list(
    State(app): State<ApiState>,
    who: TenantCaller<ManageMembers>,
    Query(asked): Query<Paging>,
) -> Result<JsonAnswer<InvitationPage>, Problem> {
    let after: Option<Uuid> = page_after(asked.after.as_deref())?;
    let (limit, now) = (page_limit(asked.limit.as_deref())?, app.clock().now());
    let page = who.stores.catalog().invitations(after, limit, now).await?;
    let invitations = page.items.into_iter().map(InvitationView::from).collect();
    Ok(JsonAnswer(InvitationPage { invitations, next: page.next }))
}

#[derive(Deserialize, JsonSchema)]
#[schemars(inline)]
pub(super) struct Named {
    invitation: String,
}

impl Named {
    fn id(&self) -> Result<Uuid, Problem> {
        self.invitation.parse().map_err(|_| Problem::not_found())
    }
}

/// `GET …/invitations/{invitation}`
pub(super) async fn show(
    State(app): State<ApiState>,
    who: TenantCaller<ManageMembers>,
    Path(named): Path<Named>,
) -> Result<Versioned<InvitationView>, Problem> {
    let found = who.stores.catalog().invitation(named.id()?, app.clock().now()).await?;
    found.map(shown).ok_or_else(Problem::not_found)
}

/// `DELETE …/invitations/{invitation}`: it is not valid any more.
pub(super) async fn withdraw(
    who: TenantCaller<ManageMembers>,
    Path(named): Path<Named>,
) -> Result<NoContent, Problem> {
    let was_there = who.stores.catalog().invitation_delete(named.id()?).await?;
    if was_there { Ok(NoContent) } else { Err(Problem::not_found()) }
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Acceptance {
    /// The secret of the invitation, `inv_…`.
    #[schemars(with = "String")]
    invitation: SecretString,
    /// The account that becomes the member, for a request without a token. It is made if it is not there.
    #[schemars(with = "Option<Subject>")]
    username: Option<String>,
    /// Its password; of a new account 8 to 256 characters.
    #[schemars(with = "Option<String>")]
    password: Option<SecretString>,
}

/// `POST /api/v1/auth/accept-invitation`
pub(super) async fn accept(
    State(app): State<ApiState>,
    from: ClientAddress,
    Person(person): Person,
    Json(body): Json<Acceptance>,
) -> Result<JsonAnswer<Joined>, Problem> {
    let accounts = app.accounts();
    accounts.count(&format!("invitation:address:{from}"), accounts.rules().per_address).await?;
    let claim = Claim::of(person, body.username, body.password)?;
    let token = open_invitation(&app, &body.invitation).await?;
    let invitee = match claim {
        Claim::Person(identity) => Invitee::Known(identity),
        Claim::Account(name, password) => accounts.invitee(name, password).await?,
    };
    let plan = app.directory().plan(&token.tenant).await?;
    let limits = plan.map(|own| app.plans().limits(&own.plan, &own.limits));
    let maximum = limits.and_then(|limits| limits.maximum(Quota::Members));
    let Member { identity, role, .. } = match accounts.accept(&token, &invitee, maximum).await? {
        InvitationAccepted::Member(member) => member,
        InvitationAccepted::Unknown => return Err(not_open()),
        InvitationAccepted::MemberExists => {
            let detail = "you are a member already: an ADMIN can change your role";
            return Err(Problem::new(Code::MemberExists, detail));
        }
        InvitationAccepted::UserExists => {
            let detail = "the account was made a moment ago: send its password, or choose another username";
            return Err(Problem::new(Code::UserExists, detail).field("username"));
        }
        InvitationAccepted::OverQuota(over) => return Err(Problem::over_quota(&over, app.clock().now())),
    };
    app.directory().invalidate(&token.tenant).await;
    Ok(JsonAnswer(Joined { identity, tenant_id: token.tenant, role }))
}

/// The person who wants to accept an invitation, before it is known whether there is one.
enum Claim {
    Person(Identity),
    Account(UserName, SecretString),
}

impl Claim {
    fn of(
        person: Option<Identity>,
        username: Option<String>,
        password: Option<SecretString>,
    ) -> Result<Self, Problem> {
        match (person, username, password) {
            (Some(identity), None, None) => Ok(Self::Person(identity)),
            (Some(_), ..) => {
                let detail = "send a token, or username and password, and not both";
                Err(Problem::new(Code::InvalidField, detail).field("username"))
            }
            (None, Some(username), Some(password)) => {
                let name = username.parse::<UserName>();
                let name = name.map_err(|error| invalid_field("username", error.to_string()))?;
                Ok(Self::Account(name, password))
            }
            (None, ..) => {
                let detail =
                    "say who accepts: send `Authorization: Bearer <token>`, or username and password";
                Err(Problem::new(Code::CredentialsMissing, detail))
            }
        }
    }
}

/// The invitation with this secret, if it is open and its maker may still invite.
async fn open_invitation(app: &ApiState, secret: &SecretString) -> Result<InvitationToken, Problem> {
    let token: InvitationToken = secret.expose_secret().parse().map_err(|_| not_open())?;
    let invitation = app.accounts().invitation(&token).await?.ok_or_else(not_open)?;
    let actor: Actor = invitation.created_by.parse().map_err(|_| not_open())?;
    let allowed = app.directory().permissions(&token.tenant, None, &actor, Role::Admin).await?;
    let may_invite = allowed.contains(Permission::TenantManageMembers);
    if may_invite && allowed.lacking(invitation.role.permissions()).is_none() {
        Ok(token)
    } else {
        Err(not_open())
    }
}

/// The same answer for every problem with an invitation, so that it does not reveal which exist.
fn not_open() -> Problem {
    let detail = "the invitation is not known, has expired, or was withdrawn or used: ask for another";
    Problem::new(Code::InvitationInvalid, detail)
}

fn shown(invitation: Invitation) -> Versioned<InvitationView> {
    // An invitation never changes.
    Versioned { revision: 1, body: invitation.into() }
}

/// An invitation that is open, without its secret.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Invitation")]
pub(super) struct InvitationView {
    #[schemars(with = "String")]
    id: Uuid,
    /// Whom it is meant for, as its maker wrote it.
    subject: Subject,
    /// The same as `subject`.
    user_id: Subject,
    role: Role,
    /// `invited`, where the answer could as well be a member.
    status: &'static str,
    /// The actor that created it.
    created_by: String,
    created_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
}

impl From<Invitation> for InvitationView {
    fn from(invitation: Invitation) -> Self {
        let Invitation { id, subject, role, created_by, created_at, expires_at } = invitation;
        let (user_id, status) = (subject.clone(), "invited");
        Self { id, subject, user_id, role, status, created_by, created_at, expires_at }
    }
}

/// A member whom the operator added, or an invitation.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(untagged)]
#[schemars(rename = "MemberOrInvitation")]
pub(super) enum Added {
    Invitation(NewInvitationView),
    Member(MemberView),
}

/// An invitation with its secret.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "InvitationWithSecret")]
pub(super) struct NewInvitationView {
    #[serde(flatten)]
    of: InvitationView,
    /// The secret with which it is accepted. Shown here and nowhere else.
    invitation: String,
}

/// Open invitations, the oldest first.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct InvitationPage {
    invitations: Vec<InvitationView>,
    /// Where the next page begins; null at the end.
    next: Option<String>,
}

/// The membership that an accepted invitation created.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Joined {
    identity: Identity,
    tenant_id: TenantId,
    role: Role,
}
