//! Ownership of outbox entries: marks, claims and leases leave other entries alone.

use tallyhouse_core::ports::{Batch, ClaimScope, OutboxId, Owner};

use super::outbox::{claim, mark_published, store};
use super::{LONG_LEASE, RepositoryFixture, SHORT_LEASE, batch_of, commit};
use crate::conformance::assert_distinct;
use crate::doubles::generate::record;

/// No two entries have the same nonce, also not in two stores that have stored the same: a store that was restored to an
/// earlier state is such another one.
pub async fn every_entry_has_a_nonce_of_its_own_also_in_another_store<F: RepositoryFixture>() {
    let mut nonces = Vec::new();
    for _ in 0..2 {
        let fixture = F::fresh().await;
        let repository = fixture.handle().await;
        for i in 0..8 {
            nonces.push(store(&*repository, None, &i.to_string(), 1).await.id.nonce());
        }
    }
    assert_distinct(nonces);
}

/// The identity of an entry is its position *and* its nonce: another nonce at the same position marks nothing, neither
/// directly nor with the next commit.
pub async fn an_id_with_another_nonce_marks_nothing<F: RepositoryFixture>() {
    let fixture = F::fresh().await;
    let (repository, me) = (fixture.handle().await, Owner::new("me"));
    let first = store(&*repository, Some(&me), "a", 1).await;
    let other = OutboxId::new(first.first, first.id.nonce() ^ 1);
    mark_published(&*repository, &me, &[other]).await;
    assert_eq!(claim(&*repository, &me, ClaimScope::Own).await, [first]);
    let next = Batch { published: vec![other], ..batch_of(&me, [record("b", "D", "", "1", "EUR")]) };
    let second = commit(&*repository, next).await.entry.expect("a record is stored");
    assert_eq!(claim(&*repository, &me, ClaimScope::Own).await, [first, second]);
}

/// A mark of a later entry leaves the earlier ones: messages may be published in any order.
pub async fn a_mark_leaves_earlier_entries<F: RepositoryFixture>() {
    let fixture = F::fresh().await;
    let (repository, me) = (fixture.handle().await, Owner::new("me"));
    let first = store(&*repository, Some(&me), "a", 1).await;
    let second = store(&*repository, Some(&me), "b", 1).await;
    mark_published(&*repository, &me, &[second.id]).await;
    assert_eq!(claim(&*repository, &me, ClaimScope::Own).await, [first]);
}

/// The entries of an owner without a lease are abandoned for others, never for itself.
pub async fn an_owner_without_a_lease_has_no_abandoned_entries<F: RepositoryFixture>() {
    let fixture = F::fresh().await;
    let (repository, me) = (fixture.handle().await, Owner::new("me"));
    let entry = store(&*repository, Some(&me), "a", 1).await;
    assert_eq!(claim(&*repository, &me, ClaimScope::Abandoned).await, []);
    assert_eq!(claim(&*repository, &me, ClaimScope::Own).await, [entry]);
}

/// The last renewal counts, also a shorter one.
pub async fn a_shorter_renewal_shortens_the_lease<F: RepositoryFixture>() {
    let fixture = F::fresh().await;
    let (repository, me, other) = (fixture.handle().await, Owner::new("me"), Owner::new("other"));
    for lease in [LONG_LEASE, SHORT_LEASE] {
        repository.renew(&me, lease).await.expect("a lease is renewed");
    }
    let entry = store(&*repository, Some(&me), "a", 1).await;
    fixture.let_lapse(SHORT_LEASE).await;
    assert_eq!(claim(&*repository, &other, ClaimScope::Abandoned).await, [entry]);
}

/// An owner that ends its lease keeps its entries until another one claims them.
pub async fn the_end_of_a_lease_leaves_entries_to_their_owner<F: RepositoryFixture>() {
    let fixture = F::fresh().await;
    let (repository, me) = (fixture.handle().await, Owner::new("me"));
    repository.renew(&me, LONG_LEASE).await.expect("a lease is renewed");
    let entry = store(&*repository, Some(&me), "a", 1).await;
    repository.renew(&me, std::time::Duration::ZERO).await.expect("a lease is ended");
    assert_eq!(claim(&*repository, &me, ClaimScope::Own).await, [entry]);
}
