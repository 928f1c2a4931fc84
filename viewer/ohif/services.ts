// OHIF's services and managers, as far as the extension uses them: names and signatures of @ohif/core and
// @ohif/extension-cornerstone 3.13.

export interface DisplaySet {
  readonly displaySetInstanceUID: string;
  readonly StudyInstanceUID?: string;
  readonly SeriesInstanceUID?: string;
  readonly Modality?: string;
  readonly isReconstructable?: boolean;
  readonly isDynamicVolume?: boolean;
  readonly volumeLoaderSchema?: string;
  readonly imageIds?: readonly string[];
  readonly instances?: readonly { readonly imageId: string }[];
}

export interface Notification {
  readonly id?: string;
  readonly title: string;
  readonly message: string;
  readonly type: 'info' | 'success' | 'warning' | 'error' | 'loading';
  readonly duration?: number;
  readonly autoClose?: boolean;
  readonly allowDuplicates?: boolean;
  readonly action?: { readonly label: string; onClick(): void };
}

export interface Services {
  readonly uiNotificationService: { show(notification: Notification): string; hide(id: string): void };
  readonly displaySetService: { getDisplaySetByUID(uid: string): DisplaySet | undefined };
  readonly viewportGridService: {
    getActiveViewportId(): string;
    getDisplaySetsUIDsForViewport(viewportId: string): readonly string[] | undefined;
  };
  readonly toolbarService: {
    register(buttons: readonly unknown[]): void;
    updateSection(section: string, buttonIds: readonly string[]): void;
    refreshToolbarState(props: { viewportId: string }): void;
  };
  readonly segmentationService: {
    createLabelmapForDisplaySet(
      displaySet: DisplaySet,
      options: { label: string; segments: Readonly<Record<number, unknown>> },
    ): Promise<string>;
    addSegmentationRepresentation(viewportId: string, of: { segmentationId: string; type: unknown }): Promise<void>;
    setSegmentColor(viewportId: string, segmentationId: string, segmentIndex: number, colour: readonly number[]): void;
    getActiveSegmentation(viewportId: string): { readonly segmentationId: string } | undefined;
    getSegmentation(
      id: string,
    ): { readonly representationData: { readonly Labelmap?: { readonly imageIds?: readonly string[] } } } | undefined;
  };
}

export interface Managers {
  readonly servicesManager: { readonly services: Services };
  readonly commandsManager: { runCommand(name: string, options?: Readonly<Record<string, unknown>>): unknown };
}

/** The CT that the viewport shows. */
export function shownCt(
  { displaySetService, viewportGridService }: Services,
  viewportId: string,
): DisplaySet | undefined {
  const uids = viewportGridService.getDisplaySetsUIDsForViewport(viewportId) ?? [];
  return uids
    .map((uid) => displaySetService.getDisplaySetByUID(uid))
    .find((set) => set?.Modality === 'CT' && set.isReconstructable && !set.isDynamicVolume);
}
