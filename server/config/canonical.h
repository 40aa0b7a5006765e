// Canonical JSON of definitions, which digests of pipelines and memo keys are made of (docs/formats.md).
#pragma once

#include <map>
#include <string>

#include "millrace/v1/pipeline.pb.h"

namespace millrace {

// Fields of a message that count.
enum class Effect {
  kAny,     // all that are set
  kResult,  // fields that affect a stage's result; an absent one with a default counts as that default
};

// Returns the canonical JSON of the fields, nested ones included. A definition file is named by the digest of its
// content, so that its name does not matter. `files`: the pipeline's definition files.
std::string CanonicalFields(const google::protobuf::Message& message, Effect effect,
                            const google::protobuf::Map<std::string, std::string>& files);

// Returns the part of a stage's memo key that comes from its definition: the message of its kind; `{}` for a stage
// without a kind. REQUIRES: the stage's parameters are bound.
std::string CanonicalStage(const v1::Pipeline& pipeline, const v1::Stage& stage);

// Returns the SHA-256 of a whole definition, descriptions included, as 64 hexadecimal digits. The order of maps and
// bindings does not matter.
std::string PipelineDigest(const v1::Pipeline& pipeline);

}  // namespace millrace
