// The kind `synthesize`: calls a model about each item, one call an item.
#pragma once

namespace millrace {

struct StageKind;

StageKind SynthesizeKind();

}  // namespace millrace
