// Definitions as canonical JSON: what pipelines' digests and stages' memo keys are made of (docs/formats.md).
#pragma once

#include <map>
#include <string>

#include "millrace/v1/pipeline.pb.h"

namespace millrace {

// Which fields of a message count.
enum class Effect {
  kAny,     // all that are set
  kResult,  // those that affect a stage's result, absent ones with a default as if it were given
};

// Canonical JSON of the fields, nested ones too. A definition file is named by the digest of its content, so that its
// name does not matter; `files` are the pipeline's.
std::string CanonicalFields(const google::protobuf::Message& message, Effect effect,
                            const google::protobuf::Map<std::string, std::string>& files);

// The part of a stage's memo key that comes from its definition: what its kind says. The stage's parameters are bound.
// `{}` of a stage without a kind.
std::string CanonicalStage(const v1::Pipeline& pipeline, const v1::Stage& stage);

// SHA-256 of all that a definition says, descriptions too, as 64 hexadecimal digits. The order of maps and bindings
// does not matter.
std::string PipelineDigest(const v1::Pipeline& pipeline);

}  // namespace millrace
