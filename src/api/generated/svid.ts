import type * as grpc from '@grpc/grpc-js';
import type { MessageTypeDefinition } from '@grpc/proto-loader';

import type { NewJWTSVIDRequest as _spire_api_server_svid_v1_NewJWTSVIDRequest, NewJWTSVIDRequest__Output as _spire_api_server_svid_v1_NewJWTSVIDRequest__Output } from './spire/api/server/svid/v1/NewJWTSVIDRequest.ts';
import type { NewJWTSVIDResponse as _spire_api_server_svid_v1_NewJWTSVIDResponse, NewJWTSVIDResponse__Output as _spire_api_server_svid_v1_NewJWTSVIDResponse__Output } from './spire/api/server/svid/v1/NewJWTSVIDResponse.ts';
import type { SVIDClient as _spire_api_server_svid_v1_SVIDClient, SVIDDefinition as _spire_api_server_svid_v1_SVIDDefinition } from './spire/api/server/svid/v1/SVID.ts';
import type { JWTSVID as _spire_api_types_JWTSVID, JWTSVID__Output as _spire_api_types_JWTSVID__Output } from './spire/api/types/JWTSVID.ts';
import type { SPIFFEID as _spire_api_types_SPIFFEID, SPIFFEID__Output as _spire_api_types_SPIFFEID__Output } from './spire/api/types/SPIFFEID.ts';

type SubtypeConstructor<Constructor extends new (...args: any) => any, Subtype> = {
  new(...args: ConstructorParameters<Constructor>): Subtype;
};

export interface ProtoGrpcType {
  spire: {
    api: {
      server: {
        svid: {
          v1: {
            NewJWTSVIDRequest: MessageTypeDefinition<_spire_api_server_svid_v1_NewJWTSVIDRequest, _spire_api_server_svid_v1_NewJWTSVIDRequest__Output>
            NewJWTSVIDResponse: MessageTypeDefinition<_spire_api_server_svid_v1_NewJWTSVIDResponse, _spire_api_server_svid_v1_NewJWTSVIDResponse__Output>
            SVID: SubtypeConstructor<typeof grpc.Client, _spire_api_server_svid_v1_SVIDClient> & { service: _spire_api_server_svid_v1_SVIDDefinition }
          }
        }
      }
      types: {
        JWTSVID: MessageTypeDefinition<_spire_api_types_JWTSVID, _spire_api_types_JWTSVID__Output>
        SPIFFEID: MessageTypeDefinition<_spire_api_types_SPIFFEID, _spire_api_types_SPIFFEID__Output>
      }
    }
  }
}

