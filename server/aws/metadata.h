// Temporary AWS credentials from the services that run beside a program: the container's agent (ECS, EKS Pod Identity)
// and the instance's metadata (EC2).
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "server/aws/sigv4.h"
#include "server/aws/system.h"
#include "server/base/loop.h"
#include "server/base/pool.h"
#include "server/base/status.h"
#include "server/http/client.h"

namespace millrace {

// Keys with the time until which they are valid.
struct AwsLease {
  AwsKeys keys;
  std::optional<int64_t> expires_wall_micros;  // since 1970; absent: not known
};

// Parts that credentials are fetched with; they outlive the fetch.
struct AwsSources {
  Loop& loop;
  Pool& pool;
  HttpClient& http;
  AwsSystem system;
};

// Asks the container's agent, if the environment names one (AWS_CONTAINER_CREDENTIALS_RELATIVE_URI or _FULL_URI). Its
// authorization token goes only to https, loopback and the agents' own addresses. Resumes after at most 4 s with
// nullopt if there is none, or PROVIDER_CREDENTIALS if it does not give credentials.
Task<StatusOr<std::optional<AwsLease>>> FetchContainerKeys(const AwsSources& sources);

// Asks the instance's metadata service, version 2 only: version 1 answers any request that a program can be made to
// send. Resumes after at most 6 s with nullopt if AWS_EC2_METADATA_DISABLED is `true`, or PROVIDER_CREDENTIALS if the
// service does not answer (the machine is not an EC2 instance) or the instance has no role.
Task<StatusOr<std::optional<AwsLease>>> FetchInstanceKeys(const AwsSources& sources);

}  // namespace millrace
