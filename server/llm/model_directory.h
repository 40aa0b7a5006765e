// The models that calls may name: their targets, identities and state. Engine thread only.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "millrace/v1/admin_service.pb.h"
#include "server/base/clock.h"
#include "server/base/status.h"
#include "server/base/task.h"
#include "server/llm/call.h"

namespace millrace {

// How the texts of an alias are embedded.
struct EmbedPlan {
  std::string identity;                        // CanonicalIdentity, the same for all its targets
  std::string model;                           // the providers' name of it
  size_t texts_max = 0;                        // texts of one request
  int64_t tokens_max = 0;                      // tokens of one request; 0: no limit
  std::optional<Duration> ttl = std::nullopt;  // largest age of a cached vector
  // Gives all calls for one request the same models, although these may change meanwhile.
  std::shared_ptr<ModelLease> models = nullptr;
};

class ModelDirectory {
 public:
  virtual ~ModelDirectory() = default;

  // NOT_FOUND (MODEL_NOT_FOUND) for an alias that is not configured.
  virtual Status CheckModel(std::string_view alias) const = 0;
  // Begins to use models for an episode of a run: learns their identities, which takes at most 3 s if a server does not
  // answer, and loads or pulls them if the configuration says so. The use ends when the lease is destroyed. Aliases
  // that are not configured are left out.
  virtual Task<std::shared_ptr<ModelLease>> Lease(std::vector<std::string> aliases) = 0;
  // Learns the identities without a use, for `plan`: nothing is loaded or pulled.
  virtual Task<std::shared_ptr<ModelLease>> Look(std::vector<std::string> aliases) = 0;
  // Returns the identities of an alias's models in routing order, as one text: a part of the memo keys of stages that
  // call it. NOT_FOUND (MODEL_NOT_FOUND).
  virtual StatusOr<std::string> Identity(std::string_view alias, const ModelLease& lease) const = 0;

  // Learns how texts are embedded, as Handle learns which models answer. NOT_FOUND (MODEL_NOT_FOUND), INVALID_ARGUMENT
  // (INVALID_FIELD: the targets are different models, whose vectors can't be compared), FAILED_PRECONDITION
  // (REQUEST_REFUSED: a target does not embed), CANCELLED, and the errors of calls that never learn it.
  virtual Task<StatusOr<EmbedPlan>> PlanEmbedding(std::string alias, CallContext context) = 0;
  // Returns whether the cost of a call is known before it is made: true if every target of the alias is free of charge.
  // The configuration has no prices yet.
  virtual bool HasKnownCost(std::string_view alias) const = 0;

  virtual v1::ListModelsResponse Models() const = 0;
  // Returns the state of the backends. Sends probes, if the request asks for them, and takes at most about as long as
  // one.
  virtual Task<v1::ListBackendsResponse> Backends(v1::ListBackendsRequest request) = 0;
  // A human says that the targets of an alias were repaired: calls try them at once. Unknown aliases are left out.
  virtual void Reconsider(std::string_view alias) = 0;
};

}  // namespace millrace
