"""Which parts of an event have a fixed shape (numbers, booleans, words of GitHub's own), by how they end.

A property is fixed where the longest ending that is named here says so. The classes are those that zizmor
derives from GitHub's webhook schemas, in a form of our own: endings instead of 4,000 paths.
"""

from __future__ import annotations

from windlass.workflow.lint.words import words

_FIXED = words(
    """
    +1 -1 action action_path actions additions admin admin_enforced administration allow_auto_merge
    allow_deletions_enforcement_level allow_force_pushes_enforcement_level allow_forking allow_merge_commit
    allow_rebase_merge allow_squash_merge allow_update_branch annotations_count anonymous_access_enabled
    arch archived assignee author_association authorized_actors_only authorized_dismissal_actors_only
    base_sha blocked_by blocking changed_files check_suite_id checks child_comment_count closed_at
    closed_issues comment_count comments commits completed completed_at conclusion confused
    content_references contents create_protected created created_at creator data_type date debug default
    delete_branch_on_merge deleted deleted_by_id deletions deployments disabled discussion_id discussions
    dismiss_stale_reviews_on_push distinct download_count draft due_on duration emails enterprise_id
    environments event_name eyes forced fork forks forks_count from has_discussions has_downloads has_issues
    has_pages has_projects has_shrinkwrap has_wiki head_commit heart hooray id
    ignore_approvals_from_contributors immutable in_reply_to_id installations_count is_answerable is_enabled
    is_template issue_field_id issues job keys latest_check_runs_count laugh lexical_search_ok license line
    linear_history_requirement_enforcement_level lock_allows_fork_sync lock_branch_enforcement_level locked
    maintain maintainer_can_modify members merge_commit_message merge_commit_title merge_method
    merge_queue_enforcement_level mergeable merged merged_at merged_by metadata milestone network_count
    number open_issues open_issues_count organization_administration organization_hooks organization_id
    organization_packages organization_plan organization_projects organization_secrets
    organization_self_hosted_runners organization_user_blocking original_line original_position
    original_start_line os packages pages parent_id percent_completed performed_via_github_app position
    prerelease privacy private production_environment protected public published_at published_via_actions
    pull pull_request_review_id pull_request_reviews_enforcement_level pull_requests push pushed_at reason
    rebaseable ref_type release_id repository repository_hooks repository_id repository_owner
    repository_owner_id repository_projects repositoryurl require_code_owner_review
    require_last_push_approval required_approving_review_count required_conversation_resolution_level
    required_deployments_enforcement_level required_status_checks_enforcement_level rerequestable
    review_comments rocket run_attempt run_id run_number run_started_at runs_rerequestable
    secret_scanning_alerts secrets security_events security_scanning_alert server_url side
    signature_requirement_enforcement_level single_file site_admin size squash_merge_commit_message
    squash_merge_commit_title stargazers stargazers_count start_line start_side started_at state status
    statuses strict_required_status_checks_policy subject_type submitted_at subscribers_count
    team_discussions temp timestamp to token tool_cache total total_blocked_by total_blocking total_count
    transient_environment triage triggering_actor type updated_at use_squash_pr_title_as_default verified
    vulnerability_alerts watchers watchers_count web_commit_signoff_required workflow_id workflows workspace
    """
)
_FIXED_ENDINGS = words(  # the same last word is free text elsewhere
    """
    deployment_status.performed_via_github_app.events.* event.check_suite.app.events.*
    event.deployment.performed_via_github_app.events.* issue.performed_via_github_app.events.*
    new_issue.performed_via_github_app.events.* old_issue.performed_via_github_app.events.*
    new_issue.active_lock_reason old_issue.active_lock_reason event.after event.before type.color github.sha
    pull_request.base.sha pull_request.head.sha discussion.state_reason new_discussion.state_reason
    old_repository.visibility
    """
)
_FREE_ENDINGS = words(  # the last word has a fixed shape elsewhere
    """
    event.action issue.assignee issue.author_association check_run.app.permissions.checks
    check_run.check_suite.app.permissions.checks
    check_run.deployment.performed_via_github_app.permissions.checks
    comment.performed_via_github_app.permissions.checks issue.closed_at pull_request.closed_at
    check_run.app.permissions.contents check_run.check_suite.app.permissions.contents
    check_run.deployment.performed_via_github_app.permissions.contents
    comment.performed_via_github_app.permissions.contents build.created_at comment.created_at
    deployment_status.created_at event.created_at event.deployment.created_at forkee.created_at
    issue.created_at package_files.*.created_at package_version.created_at
    package_version.release.created_at pull_request.created_at registry_package.created_at
    template_repository.created_at commit.author.date commit.committer.date
    check_run.app.permissions.deployments check_run.check_suite.app.permissions.deployments
    check_run.deployment.performed_via_github_app.permissions.deployments
    comment.performed_via_github_app.permissions.deployments body.from color.from description.from
    due_on.from name.from ref.from sha.from tag_name.from title.from commits.*.id head_commit.id
    npm_metadata.id nuget_metadata.*.id check_run.app.permissions.issues
    check_run.check_suite.app.permissions.issues
    check_run.deployment.performed_via_github_app.permissions.issues
    comment.performed_via_github_app.permissions.issues forkee.license npm_metadata.license
    event.pull_request.merged_at *.metadata check_run.app.permissions.metadata
    check_run.check_suite.app.permissions.metadata
    check_run.deployment.performed_via_github_app.permissions.metadata
    comment.performed_via_github_app.permissions.metadata issue.milestone issue.performed_via_github_app
    requested_teams.*.privacy package_version.release.published_at forkee.pushed_at
    template_repository.pushed_at event.reason npm_metadata.repository deployment_status.state
    package_files.*.state review.state workflow.state build.status check_suite.head_commit.timestamp
    workflow_run.head_commit.timestamp base.user.type check_run.app.owner.type
    check_run.check_suite.app.owner.type check_run.deployment.performed_via_github_app.owner.type
    comment.performed_via_github_app.owner.type enabled_by.type event.milestone.creator.type
    forkee.owner.type head.user.type head_repository.owner.type issue.user.type merged_by.type
    new_repository.owner.type organization.type package_version.author.type
    package_version.release.author.type pull_request.assignee.type pull_request.assignees.*.type
    pull_request.milestone.creator.type pull_request.user.type registry.type registry_package.owner.type
    repo.owner.type repository.owner.type requested_reviewers.*.type sender.type
    template_repository.owner.type value.type build.updated_at category.updated_at comment.updated_at
    deployment_status.updated_at event.deployment.updated_at event.updated_at forkee.updated_at
    from.updated_at issue.updated_at package_files.*.updated_at package_version.updated_at
    pull_request.updated_at registry_package.updated_at template_repository.updated_at
    """
)


def is_fixed(path: str) -> bool:
    """Return whether nobody can put text of their own into a property such as `github.event.issue.number`."""
    segments = path.lower().split(".")
    for start in range(len(segments)):
        ending = ".".join(segments[start:])
        if ending in _FREE_ENDINGS:
            return False
        if ending in _FIXED_ENDINGS:
            return True
    return segments[-1] in _FIXED
